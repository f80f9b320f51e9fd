package api

import (
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"sealpost/internal/address"
	"sealpost/internal/certificate"
	"sealpost/internal/testkit"
)

// The fast reader of queries says what url.ParseQuery says.
func FuzzQuery(f *testing.F) {
	for _, seed := range []string{"email=anna@example.org", "email=a%2Bb%40example.org", "email=a+b", "", "email", "email=a&email=b", "email=%zz", "email=a;b", "email=%", "x=1&email=a"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		got, err := onlyParameter(query, "email")
		values, parseErr := url.ParseQuery(query)
		alone := parseErr == nil && len(values) == 1 && len(values["email"]) == 1
		if (err == nil) != alone || alone && got != values["email"][0] {
			t.Errorf("%q: %q, %v; url.ParseQuery: %v, %v", query, got, err, values, parseErr)
		}
		if a, err := readEmail(query); err == nil && a.Key() == "" {
			t.Errorf("%q is read as no address", query)
		}
		if a, err := readSearch(query); err == nil {
			if again, err := address.Parse(a.String()); err != nil || again.Key() != a.Key() {
				t.Errorf("%q: %v", query, err)
			}
		}
		if q, err := readChanges(query); err == nil && (q.limit < 1 || q.wait < 0) {
			t.Errorf("%q: %+v", query, q)
		}
	})
}

// Whatever Accept says: a form, or 406; and what stands alone and plainly is given.
func FuzzAccept(f *testing.F) {
	for _, seed := range []string{"", "*/*", "application/json", "application/pkix-cert;q=0.5, */*;q=0.1", "application/pkcs7-mime; smime-type=certs-only", "text/html", "application/*;q=2", ";;;", "a/b;q=NaN", "*/*;q=0"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, accept string) {
		got, err := negotiate([]string{accept})
		if err == nil && (got < 0 || int(got) >= len(mediaTypes)) {
			t.Fatalf("%q: form %d", accept, got)
		}
		if err != nil && asRefusal(err).Status != 406 {
			t.Fatalf("%q: %v", accept, err)
		}
		for f, kind := range mediaTypes {
			if with, err := negotiate([]string{accept, kind}); err != nil && len(strings.Split(accept, ",")) < maxRanges && !strings.Contains(accept, "q") {
				t.Fatalf("%q and %s: %v", accept, kind, err)
			} else if accept == kind && with != form(f) {
				t.Fatalf("%s gives form %d", kind, with)
			}
		}
	})
}

// A body is either refused or gives certificates that read again, none of an
// authority, and never anything when there is a private key in it.
func FuzzPublication(f *testing.F) {
	ca := testkit.NewCA(f)
	anna := ca.For(f, "anna@example.org")
	f.Add(false, anna.Cert.Raw)
	f.Add(false, anna.CertPEM)
	f.Add(false, append(anna.KeyPEM, anna.CertPEM...))
	f.Add(false, ca.PEM)
	f.Add(true, []byte(`{"der":"MIIC","addresses":["anna@example.org"]}`))
	f.Add(true, []byte(`{"der":"","addresses":null} {}`))
	f.Fuzz(func(t *testing.T, isJSON bool, body []byte) {
		kind := "application/pkix-cert"
		if isJSON {
			kind = "application/json"
		}
		p, err := readPublication(kind, body)
		if err != nil {
			if s := asRefusal(err).Status; s != 400 && s != 422 {
				t.Fatalf("status %d: %v", s, err)
			}
			return
		}
		if len(p.certs) == 0 {
			t.Fatal("nothing was read, and nothing was wrong")
		}
		if with, err := readPublication("application/x-pem-file", append(anna.KeyPEM, body...)); err == nil {
			t.Fatalf("%d certificates out of a body with a private key", len(with.certs))
		}
		for _, c := range p.certs {
			if _, err := certificate.Parse(c.Raw); err != nil || c.IsCA {
				t.Fatalf("%v, authority %v", err, c.IsCA)
			}
		}
	})
}

// Whatever stands in X-Forwarded-For: who connects from outside is himself, and
// a proxy of ours is never a client that it does not name.
func FuzzForwardedFor(f *testing.F) {
	for _, seed := range []string{"192.0.2.1", "192.0.2.1, 10.0.0.1", "[2001:db8::1]:443", "unknown", ",,,", "10.0.0.1", "2001:db8::1%eth0"} {
		f.Add(seed)
	}
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	proxy, stranger := netip.MustParseAddr("10.0.0.9"), netip.MustParseAddr("198.51.100.7")
	f.Fuzz(func(t *testing.T, value string) {
		if got := forwardedFor([]string{value}, stranger, trusted); got != stranger {
			t.Fatalf("a stranger became %s", got)
		}
		got := forwardedFor([]string{value}, proxy, trusted)
		if !got.IsValid() || got.Zone() != "" || got.Is4In6() {
			t.Fatalf("%q: %s", value, got)
		}
		if got != proxy && !strings.Contains(value, ":") && !strings.Contains(value, got.String()) {
			t.Fatalf("%q: %s is not in it", value, got)
		}
		if p := networkOf(got); !p.Contains(got) {
			t.Fatalf("%s is not in %s", got, p)
		}
	})
}
