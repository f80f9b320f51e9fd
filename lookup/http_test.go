package lookup_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"sealpost/internal/testkit"
	"sealpost/lookup"
)

// serve starts a key server on loopback.
func serve(t testing.TB, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return s
}

// ask makes a source for the server and asks it for anna@example.org.
func ask(t testing.TB, server *httptest.Server, opts lookup.HTTPOptions) lookup.Answer {
	t.Helper()
	if opts.URL == "" {
		opts.URL = server.URL + "/v1/certificates?email={address}"
	}
	h := newHTTP(t, opts)
	return h.Lookup(context.Background(), parse(t, anna))
}

func newHTTP(t testing.TB, opts lookup.HTTPOptions) *lookup.HTTP {
	t.Helper()
	h, err := lookup.NewHTTP(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	return h
}

// reply is a handler that always answers the same.
func reply(status int, contentType string, body []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = w.Write(body)
	}
}

func jsonOf(address string, ders ...[]byte) []byte {
	body := fmt.Sprintf(`{"address": %q, "since": "a member to come", "certificates": [`, address)
	for i, der := range ders {
		if i > 0 {
			body += ","
		}
		body += fmt.Sprintf(`{"der": %q, "usable": true}`, base64.StdEncoding.EncodeToString(der))
	}
	return []byte(body + "]}")
}

func TestHTTPTakes(t *testing.T) {
	ca := testkit.NewCA(t)
	a, b := ca.For(t, anna), ca.For(t, anna)
	for name, test := range map[string]struct {
		kind    string
		body    []byte
		outcome lookup.Outcome
		certs   int
	}{
		"DER":                        {"application/pkix-cert", a.Cert.Raw, lookup.Found, 1},
		"PEM":                        {"application/x-pem-file", a.CertPEM, lookup.Found, 1},
		"PEM, two":                   {"application/pem-certificate-chain", append(a.CertPEM, b.CertPEM...), lookup.Found, 2},
		"PEM as nginx calls it":      {"application/x-x509-ca-cert", a.CertPEM, lookup.Found, 1},
		"PKCS #7":                    {"application/pkcs7-mime; smime-type=certs-only", certsOnly(t, a.Cert.Raw, b.Cert.Raw), lookup.Found, 2},
		"PKCS #7, RFC 4387's name":   {"application/x-pkcs7-certificates", certsOnly(t, a.Cert.Raw), lookup.Found, 1},
		"JSON":                       {"application/json; charset=utf-8", jsonOf(anna, a.Cert.Raw, b.Cert.Raw), lookup.Found, 2},
		"JSON, domain in upper case": {"application/json", jsonOf("anna@EXAMPLE.org", a.Cert.Raw), lookup.Found, 1},
		"JSON, empty list":           {"application/json", jsonOf(anna), lookup.None, 0},
	} {
		got := ask(t, serve(t, reply(http.StatusOK, test.kind, test.body)), lookup.HTTPOptions{})
		if got.Outcome != test.outcome || len(got.Candidates) != test.certs || got.Err != nil {
			t.Errorf("%s: %v, %d certificates, %v", name, got.Outcome, len(got.Candidates), got.Err)
		}
		if len(got.Usable(0)) > 0 {
			t.Errorf("%s: usable before anybody judged", name)
		}
	}
	if got := ask(t, serve(t, http.NotFound), lookup.HTTPOptions{}); got.Outcome != lookup.None {
		t.Errorf("404: %v", got.Outcome)
	}
}

func TestHTTPPutsTheAddress(t *testing.T) {
	var seen atomic.Value
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		seen.Store(r.URL.EscapedPath() + "?" + r.URL.RawQuery)
		http.NotFound(w, r)
	})
	for _, test := range []struct{ url, addr, want string }{
		{"/c?email={address}", "anna@example.org", "/c?email=anna%40example.org"},
		{"/c?email={address}", "anna+tag&x=1#?@EXAMPLE.org", "/c?email=anna%2Btag%26x%3D1%23%3F%40example.org"},
		{"/c?email={address}&d={domain}", "jürgen@bücher.example", "/c?email=j%C3%BCrgen%40xn--bcher-kva.example&d=xn--bcher-kva.example"},
		{"/{domain}/{address}.pem", "a/b?c#d@example.org", "/example.org/a%2Fb%3Fc%23d@example.org.pem?"},
		{"/{address}", `".."@example.org`, "/%22..%22@example.org?"},
		{"/c?email={address}", `"a b"@example.org`, "/c?email=%22a+b%22%40example.org"},
		{"/c?email={address}", `"{domain}"@example.org`, "/c?email=%7Bdomain%7D%40example.org"},
	} {
		h := newHTTP(t, lookup.HTTPOptions{URL: server.URL + test.url})
		if a := h.Lookup(context.Background(), parse(t, test.addr)); a.Outcome != lookup.None || seen.Load() != test.want {
			t.Errorf("%s for %s: %v, asked for %v, want %s", test.url, test.addr, a.Outcome, seen.Load(), test.want)
		}
	}
}

func TestNewHTTPRefuses(t *testing.T) {
	for url, want := range map[string]error{
		"":                                       lookup.ErrURL,
		"keys.example/{address}":                 lookup.ErrURL,
		"ftp://keys.example/{address}":           lookup.ErrURL,
		"https://{domain}/{address}":             lookup.ErrURL,
		"https://keys.{address}":                 lookup.ErrURL,
		"https:///{address}":                     lookup.ErrURL,
		"https://u:p@keys.example/{address}":     lookup.ErrURL,
		"https://keys.example/#{address}":        lookup.ErrURL,
		"https://keys.example/{address}/{local}": lookup.ErrURL,
		"https://keys.example/{email}":           lookup.ErrNoAddressInURL,
		"https://keys.example/{domain}":          lookup.ErrNoAddressInURL,
		"http://keys.example/{address}":          lookup.ErrCleartextURL,
		"http://192.0.2.1/{address}":             lookup.ErrCleartextURL,
		"http://localhost/{address}":             nil,
		"http://[::1]:80/{address}":              nil,
		"https://keys.example?{address}":         nil,
	} {
		if _, err := lookup.NewHTTP(lookup.HTTPOptions{URL: url}); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", url, err, want)
		}
	}
	if _, err := lookup.NewHTTP(lookup.HTTPOptions{URL: "http://keys.example/{address}", AllowHTTP: true}); err != nil {
		t.Errorf("http: allowed: %v", err)
	}
}

func TestHTTPToken(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	write := func(s string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("s3cret\n")
	var at, elsewhere atomic.Value
	other := serve(t, func(w http.ResponseWriter, r *http.Request) {
		elsewhere.Store(r.Header.Get("Authorization"))
		http.NotFound(w, r)
	})
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		at.Store(r.Header.Get("Authorization"))
		http.Redirect(w, r, other.URL+"/elsewhere", http.StatusFound)
	})
	ask(t, server, lookup.HTTPOptions{TokenFile: path})
	if at.Load() != "Bearer s3cret" || elsewhere.Load() != "" {
		t.Errorf("sent %q to the server and %q to the one it redirects to", at.Load(), elsewhere.Load())
	}
	for _, bad := range []string{"", "two words", "sécret"} {
		write(bad)
		if _, err := lookup.NewHTTP(lookup.HTTPOptions{URL: "https://keys.example/{address}", TokenFile: path}); err == nil {
			t.Errorf("token %q taken", bad)
		}
	}
	if _, err := lookup.NewHTTP(lookup.HTTPOptions{URL: "https://keys.example/{address}", TokenFile: path + ".missing"}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing token file: %v", err)
	}
}

func TestHTTPOverTLS(t *testing.T) {
	cert := testkit.NewCA(t).For(t, anna).Cert.Raw
	var proto atomic.Value
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		proto.Store(r.Proto)
		reply(http.StatusOK, "application/pkix-cert", cert)(w, r)
	}))
	server.EnableHTTP2 = true
	server.Config.ErrorLog = discardLog
	server.StartTLS()
	t.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	if a := ask(t, server, lookup.HTTPOptions{RootCAs: roots}); a.Outcome != lookup.Found || proto.Load() != "HTTP/2.0" {
		t.Errorf("%v by %v: %v", a.Outcome, proto.Load(), a.Err)
	}
	a := ask(t, server, lookup.HTTPOptions{RootCAs: x509.NewCertPool()})
	if unknown := new(x509.UnknownAuthorityError); a.Outcome != lookup.Unavailable || !errors.As(a.Err, unknown) {
		t.Errorf("with an unknown root: %v, %v", a.Outcome, a.Err)
	}
	server.TLS.MaxVersion = tls.VersionTLS11
	if a := ask(t, server, lookup.HTTPOptions{RootCAs: roots}); a.Outcome != lookup.Unavailable {
		t.Errorf("TLS 1.1: %v", a.Outcome)
	}
}

// Lookups share connections, also those that end with 404.
func TestHTTPReusesConnections(t *testing.T) {
	var opened atomic.Int64
	server := httptest.NewUnstartedServer(reply(http.StatusNotFound, "text/html", make([]byte, 10000)))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	h := newHTTP(t, lookup.HTTPOptions{URL: server.URL + "/{address}"})
	for range 10 {
		if a := h.Lookup(context.Background(), parse(t, anna)); a.Outcome != lookup.None {
			t.Fatalf("%v: %v", a.Outcome, a.Err)
		}
	}
	if n := opened.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
}
