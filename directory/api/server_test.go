package api_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
	"github.com/miekg/dns"

	"sealpost/directory/api"
	"sealpost/internal/testkit"
)

// serve runs a server until the test ends, and gives its address.
func serve(t *testing.T, s *api.Server, l net.Listener) string {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = s.Shutdown(ctx)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

var hello = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Proto) })

// The certificate is exchanged while the server runs; a broken one is not taken.
func TestTLSFromFilesIsReadAgain(t *testing.T) {
	authority := testkit.NewCA(t)
	dir := t.TempDir()
	first := authority.Server(t)
	cert, key := first.WriteFiles(t, dir, "server")
	s, err := api.NewServer(api.ServerOptions{Handler: hello, CertFile: cert, KeyFile: key})
	if err != nil {
		t.Fatal(err)
	}
	addr := serve(t, s, listen(t))
	shown := func() *x509.Certificate {
		t.Helper()
		c, err := tls.Dial("tcp", addr, authority.ClientTLS("localhost"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0]
	}
	if !shown().Equal(first.Cert) {
		t.Fatal("another certificate")
	}
	if err := os.WriteFile(key, []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	if s.Reload() == nil || !shown().Equal(first.Cert) {
		t.Error("a broken key was taken")
	}
	second := authority.Server(t)
	second.WriteFiles(t, dir, "server")
	if err := s.Reload(); err != nil || !shown().Equal(second.Cert) {
		t.Errorf("the new certificate is not shown: %v", err)
	}
	old := authority.ClientTLS("localhost")
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	if _, err := tls.Dial("tcp", addr, old); err == nil {
		t.Error("TLS 1.1 was spoken")
	}
	client := http.Client{Transport: &http.Transport{TLSClientConfig: authority.ClientTLS("localhost"), ForceAttemptHTTP2: true}}
	defer client.CloseIdleConnections()
	resp, err := client.Get("https://" + addr)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.ProtoMajor != 2 {
		t.Errorf("%s is spoken", resp.Proto)
	}
}

func TestServerOptionsThatCannotBe(t *testing.T) {
	for name, c := range map[string]struct {
		opts api.ServerOptions
		want error
	}{
		"both":            {api.ServerOptions{CertFile: "a", ACME: &api.ACMEOptions{}}, api.ErrTwoCertificates},
		"no domains":      {api.ServerOptions{ACME: &api.ACMEOptions{Cache: "x"}}, api.ErrACMEOptions},
		"nowhere to keep": {api.ServerOptions{ACME: &api.ACMEOptions{Domains: []string{"a.example"}}}, api.ErrACMEOptions},
		"no such file":    {api.ServerOptions{CertFile: "/nowhere/a", KeyFile: "/nowhere/b"}, os.ErrNotExist},
	} {
		if _, err := api.NewServer(c.opts); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A header that is too large is refused, before any of it is kept.
func TestLargeHeader(t *testing.T) {
	s, err := api.NewServer(api.ServerOptions{Handler: hello})
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", serve(t, s, listen(t)))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nX: "+strings.Repeat("a", 64<<10)+"\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("%v, %v", resp, err)
	}
}

// Certificates come from Pebble, Let's Encrypt's own test authority, which asks
// back at the server as the true one does.
func TestACME(t *testing.T) {
	t.Setenv("PEBBLE_VA_NOSLEEP", "1")
	t.Setenv("PEBBLE_WFE_NONCEREJECT", "0")
	const domain = "keys.bank.example"
	l := listen(t)
	quiet := log.New(io.Discard, "", 0)
	memory := db.NewMemoryStore()
	issuer := ca.New(quiet, memory, "", "ecdsa", 0, 1, map[string]ca.Profile{"default": {ValidityPeriod: 86400}})
	check := va.New(quiet, 1, l.Addr().(*net.TCPAddr).Port, false, nameserver(t), memory)
	front := wfe.New(quiet, memory, check, issuer, []string{"pebble"}, false, false, 1, 1)
	authority := httptest.NewTLSServer(front.Handler())
	defer authority.Close()
	s, err := api.NewServer(api.ServerOptions{Handler: hello, Log: slog.New(slog.DiscardHandler), ACME: &api.ACMEOptions{
		Domains: []string{domain}, Cache: t.TempDir(), Email: "admin@bank.example", URL: authority.URL + wfe.DirectoryPath, Client: authority.Client(),
	}})
	if err != nil {
		t.Fatal(err)
	}
	addr := serve(t, s, l)
	roots := x509.NewCertPool()
	roots.AddCert(issuer.GetRootCert(0).Cert)
	c, err := tls.Dial("tcp", addr, &tls.Config{ServerName: domain, RootCAs: roots})
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if _, err := tls.Dial("tcp", addr, &tls.Config{ServerName: "other.bank.example", RootCAs: roots}); err == nil {
		t.Error("a certificate was fetched for another name")
	}
}

// nameserver says 127.0.0.1 for every name.
func nameserver(t *testing.T) string {
	t.Helper()
	l := listen(t) // Pebble asks by TCP
	server := &dns.Server{Listener: l, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		if q.Question[0].Qtype == dns.TypeA {
			m.Answer = append(m.Answer, &dns.A{
				Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 1}, A: net.IPv4(127, 0, 0, 1),
			})
		}
		_ = w.WriteMsg(m)
	})}
	go func() { _ = server.ActivateAndServe() }()
	t.Cleanup(func() { _ = server.Shutdown() })
	return l.Addr().String()
}
