package lookup_test

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sealpost/internal/address"
	"sealpost/internal/certificate"
	"sealpost/internal/reason"
	"sealpost/internal/testkit"
	"sealpost/lookup"
	"sealpost/lookup/outbound"
	"sealpost/lookup/revocation"
)

// client may reach this machine.
func outboundClient(t testing.TB) *outbound.Client {
	c := outbound.New(outbound.Options{Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Timeout: testkit.Patience})
	t.Cleanup(c.Close)
	return c
}

func revoker(t testing.TB, opts revocation.Options) *revocation.Checker {
	t.Helper()
	opts.Client, opts.Log = outboundClient(t), slog.New(slog.DiscardHandler)
	if opts.Wait == 0 {
		opts.Wait = testkit.Patience
	}
	c, err := revocation.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// What soft and hard make of what is known.
func TestRevocationDecides(t *testing.T) {
	a := testkit.NewAuthority(t)
	leaf := func(places ...string) *certificate.Certificate {
		return issue(t, a.CA, testkit.Leaf{Addresses: []string{anna}, Change: a.Points(places...)})
	}
	good, bad, silent := leaf("crl"), leaf("crl"), leaf()
	x, err := bad.X509()
	if err != nil {
		t.Fatal(err)
	}
	a.Withdraw(x, 1)
	for _, test := range []struct {
		name    string
		certs   []*certificate.Certificate
		hard    bool
		outcome lookup.Outcome
		token   reason.Token
	}{
		{"good, soft", only(good), false, lookup.Found, reason.None},
		{"good, hard", only(good), true, lookup.Found, reason.None},
		{"revoked, soft", only(bad), false, lookup.None, reason.CertificateRevoked},
		{"revoked, hard", only(bad), true, lookup.None, reason.CertificateRevoked},
		{"unknown, soft", only(silent), false, lookup.Found, reason.None},
		{"unknown, hard", only(silent), true, lookup.Unavailable, reason.RevocationUnknown},
		{"unknown beside good, hard", []*certificate.Certificate{silent, good}, true, lookup.Found, reason.None},
		{"unknown beside revoked, hard", []*certificate.Certificate{bad, silent}, true, lookup.Unavailable, reason.RevocationUnknown},
		{"revoked beside unknown, soft", []*certificate.Certificate{bad, silent}, false, lookup.Found, reason.None},
	} {
		source := trusted(t, always(found(test.certs...)), lookup.TrustOptions{
			Roots: []*x509.Certificate{a.Cert}, Revoker: revoker(t, revocation.Options{}), Hard: test.hard,
		})
		got := source.Lookup(context.Background(), parse(t, anna))
		if got.Outcome != test.outcome || got.Reason != test.token || (got.Err == nil) == (got.Outcome == lookup.Unavailable) {
			t.Errorf("%s: %v, reason %q (%v)", test.name, got.Outcome, got.Reason, got.Err)
		}
		for _, c := range got.Candidates {
			if c.Revocation == (revocation.Verdict{}) || c.Usable == c.Until.IsZero() || c.Usable == (c.Why != "") {
				t.Errorf("%s: %+v", test.name, c)
			}
		}
		if test.hard && got.Outcome == lookup.Found && len(got.Candidates) == 1 && got.Candidates[0].Until.After(time.Now().Add(2*time.Hour)) {
			t.Errorf("%s: under hard a verdict lasts no longer than the list", test.name)
		}
	}
	vouched := trusted(t, always(found(bad)), lookup.TrustOptions{Vouch: lookup.Itself, Revoker: revoker(t, revocation.Options{}), Hard: true})
	if got := vouched.Lookup(context.Background(), parse(t, anna)); got.Outcome != lookup.Found {
		t.Errorf("vouched for by the source: %v", got.Outcome)
	}
}

// A chain that is withdrawn does not spoil another one of the same certificate.
func TestRevocationOfOneChain(t *testing.T) {
	root := testkit.NewAuthority(t)
	sub := root.Intermediate(t, func(c *x509.Certificate) { root.Points("crl")(c) })
	twin := root.Intermediate(t, func(c *x509.Certificate) { root.Points("crl")(c) })
	second := sub.CrossSigned(t, root.CA, root.Points("crl"))
	leaf := issue(t, sub, testkit.Leaf{Addresses: []string{anna}, Change: root.Points()})
	root.Withdraw(sub.Cert, 2)
	all := []*certificate.Certificate{leaf, read(t, sub.Cert.Raw), read(t, twin.Cert.Raw)}
	options := func() lookup.TrustOptions {
		return lookup.TrustOptions{Roots: []*x509.Certificate{root.Cert}, Revoker: revoker(t, revocation.Options{})}
	}
	if a := trusted(t, always(found(all...)), options()).Lookup(context.Background(), parse(t, anna)); a.Outcome != lookup.None || a.Reason != reason.CertificateRevoked {
		t.Errorf("one chain, withdrawn: %v, %q", a.Outcome, a.Reason)
	}
	all = append(all, read(t, second.Cert.Raw))
	if a := trusted(t, always(found(all...)), options()).Lookup(context.Background(), parse(t, anna)); a.Outcome != lookup.Found {
		t.Errorf("a second chain: %v, %q", a.Outcome, a.Reason)
	}
}

// Somebody is written to, his certificate is withdrawn, and the authority's
// next list is fetched in the background: the answer that the cache remembers
// is gone, and others stay.
func TestWithdrawnWhileRemembered(t *testing.T) {
	a := testkit.NewAuthority(t)
	id := a.Issue(t, testkit.Leaf{Addresses: []string{anna}, Change: a.Points("crl")})
	other := a.Issue(t, testkit.Leaf{Addresses: []string{bob}, Change: a.Points("crl")})
	answers := map[string]lookup.Answer{anna: found(read(t, id.Cert.Raw)), bob: found(read(t, other.Cert.Raw))}
	var ahead atomic.Int64
	var c *lookup.Cache
	checker := revoker(t, revocation.Options{
		Clock: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) },
		Withdrawn: func(match func([]byte, *big.Int) bool) {
			c.Drop(func(c lookup.Candidate) bool { return match(c.Cert.RawIssuer, c.Cert.Serial) })
		},
	})
	source := trusted(t, sourceFunc(func(_ context.Context, addr address.Address) lookup.Answer {
		return answers[addr.String()]
	}), lookup.TrustOptions{Roots: []*x509.Certificate{a.Cert}, Revoker: checker})
	var err error
	if c, err = lookup.NewCache(source, lookup.CacheOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	for _, who := range []string{anna, bob} {
		if got := c.Lookup(context.Background(), parse(t, who)); got.Outcome != lookup.Found {
			t.Fatalf("%s: %v", who, got.Err)
		}
	}
	a.Withdraw(id.Cert, 1)
	ahead.Store(int64(55 * time.Minute)) // of the hour until the list's next update
	testkit.Poll(t, "one of two answers to be dropped", func() bool { return c.Stats().Entries == 1 })
	for who, want := range map[string]lookup.Outcome{anna: lookup.None, bob: lookup.Found} {
		if got := c.Lookup(context.Background(), parse(t, who)); got.Outcome != want {
			t.Errorf("%s: %v", who, got.Outcome)
		}
	}
}

const bob = "bob@example.org"

// What comes out of the cache's file is judged by what is known by then.
func TestWithdrawnWhileAway(t *testing.T) {
	cert := issue(t, testkit.NewCA(t), testkit.Leaf{Addresses: []string{anna}})
	file := filepath.Join(t.TempDir(), "cache")
	for _, withdrawn := range []bool{false, true} {
		kept, err := lookup.OpenCacheFile(lookup.CacheFileOptions{Path: file})
		if err != nil {
			t.Fatal(err)
		}
		asked := 0
		c, err := lookup.NewCache(sourceFunc(func(context.Context, address.Address) lookup.Answer {
			asked++
			return usable(cert)
		}), lookup.CacheOptions{File: kept, Withdrawn: func(lookup.Candidate) bool { return withdrawn }})
		if err != nil {
			t.Fatal(err)
		}
		c.Lookup(context.Background(), parse(t, anna))
		c.Close()
		if err := kept.Close(); err != nil {
			t.Fatal(err)
		}
		if asked != 1 { // the first time nothing is in the file, the second time it does not count
			t.Errorf("withdrawn %v: asked %d times", withdrawn, asked)
		}
	}
}

// Authorities that certify each other in a ring end nowhere, and soon.
func TestRingOfAuthorities(t *testing.T) {
	root := testkit.NewCA(t)
	one := testkit.NewCA(t).Intermediate(t, func(c *x509.Certificate) { c.Subject.CommonName = "One" })
	two := one.Intermediate(t, func(c *x509.Certificate) { c.Subject.CommonName = "Two" })
	back := one.CrossSigned(t, two, nil)
	leaf := issue(t, one, testkit.Leaf{Addresses: []string{anna}})
	answer := func(certs ...*certificate.Certificate) lookup.Answer {
		return trusted(t, always(found(certs...)), lookup.TrustOptions{Roots: []*x509.Certificate{root.Cert}}).Lookup(context.Background(), parse(t, anna))
	}
	ring := []*certificate.Certificate{leaf, read(t, two.Cert.Raw), read(t, back.Cert.Raw)}
	if a := answer(ring...); a.Outcome != lookup.None || a.Reason != reason.CertificateUntrusted {
		t.Errorf("%v, %q", a.Outcome, a.Reason)
	}
	way := one.CrossSigned(t, root, nil)
	if a := answer(append(ring, read(t, way.Cert.Raw))...); a.Outcome != lookup.Found {
		t.Errorf("a way out of the ring: %v", a.Candidates[0].Why)
	}
}

func TestAIA(t *testing.T) {
	root := testkit.NewAuthority(t)
	sub := root.Intermediate(t, func(c *x509.Certificate) { root.Points("ca")(c) }).Authority(t)
	deep := sub.Intermediate(t, func(c *x509.Certificate) { c.Subject.CommonName = "Deep"; sub.Points("ca")(c) }).Authority(t)
	leaf := issue(t, deep.CA, testkit.Leaf{Addresses: []string{anna}, Change: deep.Points("ca")})
	finder := lookup.NewAIA(outboundClient(t), nil)
	t.Cleanup(finder.Close)
	look := func(f lookup.IssuerFinder) lookup.Answer {
		return trusted(t, always(found(leaf)), lookup.TrustOptions{Roots: []*x509.Certificate{root.Cert}, Issuers: f}).Lookup(context.Background(), parse(t, anna))
	}
	if a := look(nil); a.Outcome != lookup.None {
		t.Errorf("without: %v", a.Outcome)
	}
	for range 3 {
		if a := look(finder); a.Outcome != lookup.Found {
			t.Errorf("with: %v, %v", a.Outcome, a.Candidates[0].Why)
		}
	}
	if n, m := deep.Hits("/ca"), sub.Hits("/ca"); n != 1 || m != 1 {
		t.Errorf("%d and %d fetches", n, m)
	}
	for name, body := range map[string]http.HandlerFunc{
		"missing": http.NotFound,
		"a page":  func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") },
		"another": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(testkit.NewCA(t).Cert.Raw) },
		"itself":  func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(leaf.Raw) },
		"huge":    func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 1<<20)) },
	} {
		deep.Handle("/ca", body)
		f := lookup.NewAIA(outboundClient(t), nil)
		a := look(f)
		f.Close()
		if a.Outcome != lookup.None || a.Reason != reason.CertificateUntrusted {
			t.Errorf("%s: %v, %q", name, a.Outcome, a.Reason)
		}
		if name != "another" && !strings.Contains(a.Candidates[0].Why, "cannot be fetched") {
			t.Errorf("%s: it does not say so: %s", name, a.Candidates[0].Why)
		}
	}
}

// A stranger's certificate cannot make us connect to a machine of our own.
func TestAIAOfAStranger(t *testing.T) {
	inside := testkit.NewAuthority(t)
	client := outbound.New(outbound.Options{})
	defer client.Close()
	f := lookup.NewAIA(client, nil)
	defer f.Close()
	x := testkit.NewCA(t).Issue(t, testkit.Leaf{Addresses: []string{anna}, Change: inside.Points("ca")}).Cert
	if _, err := f.Issuers(context.Background(), x); !errors.Is(err, outbound.ErrAddress) || inside.Hits("/ca") != 0 {
		t.Errorf("%v", err)
	}
	if fetches, failures := f.Stats(); fetches != 1 || failures != 1 {
		t.Errorf("%d fetches, %d failures", fetches, failures)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	x = testkit.NewCA(t).Issue(t, testkit.Leaf{Addresses: []string{anna}, Change: func(c *x509.Certificate) { c.IssuingCertificateURL = []string{"http://192.0.2.1/other"} }}).Cert
	if _, err := f.Issuers(ctx, x); err == nil {
		t.Error("waited for nobody")
	}
}

// What is signed with SHA-1 is refused in words, the recipient's certificate or
// one above it.
func TestForgeableSignatures(t *testing.T) {
	root := testkit.NewCA(t)
	old := read(t, testkit.Forged{Hash: crypto.SHA1, Extensions: [][]byte{testkit.SAN(t, testkit.RFC822Name(anna))}}.Sign(t, root))
	sub := root.Intermediate(t, nil)
	spki := sub.Cert.RawSubjectPublicKeyInfo
	above := read(t, testkit.Forged{Hash: crypto.SHA1, Subject: sub.Cert.RawSubject, Key: spki, Extensions: [][]byte{
		testkit.Extension(t, true, testkit.TLV(0x30, testkit.TLV(0x01, []byte{0xff})), 2, 5, 29, 19),
	}}.Sign(t, root))
	for name, certs := range map[string][]*certificate.Certificate{
		"the certificate": only(old),
		"its issuer":      {issue(t, sub, testkit.Leaf{Addresses: []string{anna}}), above},
	} {
		a := trusted(t, always(found(certs...)), lookup.TrustOptions{Roots: []*x509.Certificate{root.Cert}}).Lookup(context.Background(), parse(t, anna))
		c := a.Candidates[0]
		if c.Reason != reason.CertificateUnverified || !strings.Contains(c.Why, "SHA1") {
			t.Errorf("%s: %q, %s", name, c.Reason, c.Why)
		}
	}
}
