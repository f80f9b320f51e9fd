package lookup_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sealpost/internal/testkit"
	"sealpost/lookup"
)

func newStore(t testing.TB, opts lookup.RFC4387Options) *lookup.HTTP {
	t.Helper()
	h, err := lookup.NewRFC4387(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	return h
}

// The whole way, at a store of another make: one certificate, several, a
// bundle that OpenSSL made, none, somebody else's; and the judgement.
func TestRFC4387Store(t *testing.T) {
	testkit.Need(t, "openssl")
	s := testkit.StartCertStore(t)
	ca := testkit.NewCA(t)
	one, two, three := ca.For(t, "one@example.org"), ca.For(t, "two@example.org"), ca.For(t, "two@example.org")
	s.Put(t, "one@example.org/a.der", one.Cert.Raw)
	s.Put(t, "two@example.org/a.der", two.Cert.Raw)
	s.Put(t, "two@example.org/b.der", three.Cert.Raw)
	s.Put(t, "liar@example.org/a.der", one.Cert.Raw)
	s.Put(t, "garbage@example.org/a.der", []byte("no certificate"))
	s.Put(t, "empty@example.org/none", nil)
	s.Put(t, "o'b+x@xn--bcher-kva.example/a.der", ca.For(t, "o'b+x@xn--bcher-kva.example").Cert.Raw)
	dir := t.TempDir()
	cert, _ := one.WriteFiles(t, dir, "one")
	bundled := filepath.Join(dir, "one.p7c")
	if out, err := exec.Command("openssl", "crl2pkcs7", "-nocrl", "-certfile", cert, "-outform", "DER", "-out", bundled).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	p7c, err := os.ReadFile(bundled)
	if err != nil {
		t.Fatal(err)
	}
	s.Put(t, "bundle@example.org/bundle.p7c", p7c)

	store := newStore(t, lookup.RFC4387Options{HTTPOptions: lookup.HTTPOptions{URL: s.URL, Timeout: testkit.Patience}})
	judged := trusted(t, store, lookup.TrustOptions{Roots: []*x509.Certificate{ca.Cert}})
	for addr, want := range map[string]struct {
		outcome lookup.Outcome
		usable  int
	}{
		"one@example.org":         {lookup.Found, 1},
		"two@EXAMPLE.org":         {lookup.Found, 2},
		"o'b+x@bücher.example":    {lookup.Found, 1},
		"nobody@example.org":      {lookup.None, 0},
		"liar@example.org":        {lookup.Unavailable, 0},
		"garbage@example.org":     {lookup.Unavailable, 0},
		"empty@example.org":       {lookup.Unavailable, 0},
		"bundle@example.org":      {lookup.Unavailable, 0}, // read, and for somebody else
		"one&uri=two@example.org": {lookup.None, 0},
	} {
		got := judged.Lookup(context.Background(), parse(t, addr))
		if got.Outcome != want.outcome || len(got.Usable(0)) != want.usable {
			t.Errorf("%s: %v with %d usable, %v", addr, got.Outcome, len(got.Usable(0)), got.Err)
		}
	}
	bundle := store.Lookup(context.Background(), parse(t, "bundle@example.org"))
	if len(bundle.Candidates) != 1 || !bytes.Equal(bundle.Candidates[0].Cert.Raw, one.Cert.Raw) {
		t.Errorf("the bundle: %v, %v", bundle.Outcome, bundle.Err)
	}
	queries := s.Queries(t)
	if !strings.Contains(queries, "/certificates/search.cgi?uri=two%40example.org\n") {
		t.Errorf("it was asked:\n%s", queries)
	}
	connections := map[string]bool{}
	for line := range strings.Lines(queries) {
		port, _, _ := strings.Cut(line, " ")
		connections[port] = true
	}
	if len(connections) != 1 {
		t.Errorf("%d connections for\n%s", len(connections), queries)
	}
	email := newStore(t, lookup.RFC4387Options{HTTPOptions: lookup.HTTPOptions{URL: s.URL, Timeout: testkit.Patience}, Attribute: "email"})
	if a := email.Lookup(context.Background(), parse(t, "one@example.org")); a.Outcome != lookup.Found || !strings.Contains(s.Queries(t), "?email=one%40example.org\n") {
		t.Errorf("by email: %v, %v", a.Outcome, a.Err)
	}

	s.Pause(t)
	slow := newStore(t, lookup.RFC4387Options{HTTPOptions: lookup.HTTPOptions{URL: s.URL, Timeout: 200 * time.Millisecond}})
	if a := slow.Lookup(context.Background(), parse(t, "nobody@example.org")); a.Outcome != lookup.Unavailable || !errors.Is(a.Err, context.DeadlineExceeded) {
		t.Errorf("paused: %v, %v", a.Outcome, a.Err)
	}
	s.Stop(t)
	if a := store.Lookup(context.Background(), parse(t, "nobody@example.org")); a.Outcome != lookup.Unavailable {
		t.Errorf("stopped: %v, %v", a.Outcome, a.Err)
	}
}

func TestRFC4387Multipart(t *testing.T) {
	a := testkit.NewCA(t).For(t, anna).Cert.Raw
	part := func(kind, more string, content []byte) string {
		return "--x\r\nContent-Type: " + kind + "\r\n" + more + "\r\n" + string(content) + "\r\n"
	}
	const pkix = "application/pkix-cert"
	good := part(pkix, "", a)
	for name, c := range map[string]struct {
		kind, body string
		certs      int // 0: Unavailable
	}{
		"one":                   {"multipart/mixed; boundary=x", good + "--x--\r\n", 1},
		"two":                   {"multipart/mixed; boundary=x", good + good + "--x--\r\n", 2},
		"with a PKCS #7 part":   {"multipart/mixed; boundary=x", good + part("application/pkcs7-mime", "", certsOnly(t, a)) + "--x--", 2},
		"binary":                {"multipart/mixed; boundary=x", part(pkix, "Content-Transfer-Encoding: binary\r\n", a) + "--x--", 1},
		"no part":               {"multipart/mixed; boundary=x", "--x--\r\n", 0},
		"nothing":               {"multipart/mixed; boundary=x", "", 0},
		"no boundary":           {"multipart/mixed", good + "--x--\r\n", 0},
		"another boundary":      {"multipart/mixed; boundary=y", good + "--x--\r\n", 0},
		"no end":                {"multipart/mixed; boundary=x", good, 0},
		"cut in a part":         {"multipart/mixed; boundary=x", good + good[:len(good)-20], 0},
		"HTML inside":           {"multipart/mixed; boundary=x", good + part("text/html", "", []byte("<html>")) + "--x--\r\n", 0},
		"a part without a type": {"multipart/mixed; boundary=x", good + "--x\r\n\r\nx\r\n--x--\r\n", 0},
		"base64":                {"multipart/mixed; boundary=x", part(pkix, "Content-Transfer-Encoding: base64\r\n", a) + "--x--\r\n", 0},
		"garbage inside":        {"multipart/mixed; boundary=x", part(pkix, "", []byte("garbage")) + "--x--\r\n", 0},
		"too many":              {"multipart/mixed; boundary=x", strings.Repeat(good, 33) + "--x--\r\n", 0},
		"JSON":                  {"application/json", string(jsonOf(anna)), 0},
		"JSON with one":         {"application/json", string(jsonOf(anna, a)), 0},
	} {
		server := serve(t, reply(http.StatusOK, c.kind, []byte(c.body)))
		got := newStore(t, lookup.RFC4387Options{HTTPOptions: lookup.HTTPOptions{URL: server.URL}}).Lookup(context.Background(), parse(t, anna))
		want := lookup.Found
		if c.certs == 0 {
			want = lookup.Unavailable
		}
		if got.Outcome != want || len(got.Candidates) != c.certs {
			t.Errorf("%s: %v with %d certificates, %v", name, got.Outcome, len(got.Candidates), got.Err)
		}
	}
}

func TestRFC4387OverTLS(t *testing.T) {
	cert := testkit.NewCA(t).For(t, anna).Cert.Raw
	var proto, accept atomic.Value
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		proto.Store(r.Proto)
		accept.Store(r.Header.Get("Accept"))
		reply(http.StatusOK, "application/pkix-cert", cert)(w, r)
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	store := newStore(t, lookup.RFC4387Options{HTTPOptions: lookup.HTTPOptions{URL: server.URL, RootCAs: roots}})
	if a := store.Lookup(context.Background(), parse(t, anna)); a.Outcome != lookup.Found || proto.Load() != "HTTP/2.0" {
		t.Errorf("%v by %v: %v", a.Outcome, proto.Load(), a.Err)
	}
	if strings.Contains(accept.Load().(string), "json") {
		t.Errorf("accepts %v", accept.Load())
	}
}

func TestNewRFC4387Refuses(t *testing.T) {
	for url, want := range map[string]error{
		"https://keys.example/search.cgi":               nil,
		"https://keys.example":                          nil,
		"https://keys.example/search.cgi?":              lookup.ErrURL,
		"https://keys.example/search.cgi?uri={address}": lookup.ErrURL,
		"https://keys.example/{address}":                lookup.ErrURL,
		"keys.example":                                  lookup.ErrURL,
		"http://keys.example/search.cgi":                lookup.ErrCleartextURL,
	} {
		if _, err := lookup.NewRFC4387(lookup.RFC4387Options{HTTPOptions: lookup.HTTPOptions{URL: url}}); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", url, err, want)
		}
	}
	if _, err := lookup.NewRFC4387(lookup.RFC4387Options{HTTPOptions: lookup.HTTPOptions{URL: "https://keys.example"}, Attribute: "name"}); !errors.Is(err, lookup.ErrAttribute) {
		t.Errorf("another attribute: %v", err)
	}
}
