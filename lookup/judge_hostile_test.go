package lookup_test

import (
	"context"
	"crypto/x509"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"sealpost/internal/certificate"
	"sealpost/internal/reason"
	"sealpost/internal/testkit"
	"sealpost/lookup"
	"sealpost/lookup/revocation"
)

// A counter is a Revoker that counts for how many certificates it was asked,
// which is how many had a chain.
type counter int

func (c *counter) Check(context.Context, []*x509.Certificate) revocation.Verdict {
	*c++
	return revocation.Verdict{Status: revocation.Good}
}

// A source that has certificates by the thousand makes chain building cost no
// more than its bound, and the rest is said to be unseen.
func TestThousandsOfCertificatesForOneAddress(t *testing.T) {
	ca := testkit.NewCA(t)
	var all []*certificate.Certificate
	for range 1000 {
		all = append(all, issue(t, ca, testkit.Leaf{Addresses: []string{anna}, Key: "p256"}))
	}
	var asked counter
	opts := lookup.TrustOptions{Roots: []*x509.Certificate{ca.Cert}, Revoker: &asked}
	a := trusted(t, always(found(all...)), opts).Lookup(context.Background(), parse(t, anna))
	if a.Outcome != lookup.Found || len(a.Usable(0)) != lookup.MaxVerified || int(asked) != lookup.MaxVerified || len(a.Usable(3)) != 3 {
		t.Errorf("%v: %d usable, %d chains", a.Outcome, len(a.Usable(0)), asked)
	}
	last := a.Candidates[999]
	if last.Usable || last.Reason != reason.CertificateUnverified || !strings.Contains(last.Why, "not looked at") {
		t.Errorf("the last one: %q, it %s", last.Reason, last.Why)
	}
	// Where none of those that were looked at will do, nobody knows of the others.
	stranger := testkit.NewCA(t)
	opts.Roots = []*x509.Certificate{stranger.Cert}
	a = trusted(t, always(found(all...)), opts).Lookup(context.Background(), parse(t, anna))
	if a.Outcome != lookup.Unavailable || a.Reason != reason.LookupUnavailable {
		t.Errorf("of strangers: %v, %q", a.Outcome, a.Reason)
	}
}

// An answer full of authorities costs little more than one with a few: only
// those above a certificate are read, up to a bound.
func TestThousandsOfAuthorities(t *testing.T) {
	ca := testkit.NewCA(t)
	sub := ca.Intermediate(t, nil)
	leaf := issue(t, sub, testkit.Leaf{Addresses: []string{anna}, Key: "p256"})
	crowd := make([]*certificate.Certificate, 2000)
	for i := range crowd {
		crowd[i] = read(t, testkit.NewCA(t).Intermediate(t, nil).Cert.Raw) // all of one name
	}
	allocs := func(n int) float64 {
		judged := trusted(t, always(found(append([]*certificate.Certificate{leaf}, crowd[:n]...)...)), lookup.TrustOptions{Roots: []*x509.Certificate{ca.Cert}})
		return testing.AllocsPerRun(3, func() {
			if a := judged.Lookup(context.Background(), parse(t, anna)); a.Outcome != lookup.None {
				t.Errorf("%d authorities: %v", n, a.Outcome)
			}
		})
	}
	few, many := allocs(50), allocs(2000)
	if more := (many - few) / 1950; more > 12 {
		t.Errorf("%.0f allocations with 50 authorities, %.0f with 2000: %.1f each", few, many, more)
	}
}

// finder fetches issuers out of a list, and counts.
type finder struct {
	bySubject map[string][]*x509.Certificate
	calls     int
}

func (f *finder) Issuers(_ context.Context, c *x509.Certificate) ([]*x509.Certificate, error) {
	f.calls++
	return f.bySubject[string(c.RawIssuer)], nil
}

func (f *finder) add(ca *testkit.CA) {
	if f.bySubject == nil {
		f.bySubject = map[string][]*x509.Certificate{}
	}
	key := string(ca.Cert.RawSubject)
	f.bySubject[key] = append(f.bySubject[key], ca.Cert)
}

// Chains without end are given up after a few rounds of fetching.
func TestChainsWithoutEndAreGivenUp(t *testing.T) {
	points := func(name string) func(*x509.Certificate) {
		return func(c *x509.Certificate) {
			c.Subject.CommonName, c.IssuingCertificateURL = name, []string{"http://ca.example/"}
		}
	}
	root := testkit.NewCA(t)
	var deep, wide finder
	ca := root
	for i := range 30 {
		ca = ca.Intermediate(t, points(fmt.Sprintf("Level %d", i)))
		deep.add(ca)
	}
	for i := range 100 { // of one name, each from another issuer that nobody knows
		above := testkit.NewCA(t).Intermediate(t, points(fmt.Sprintf("Unknown %d", i)))
		wide.add(above.Intermediate(t, points("Level 29")))
	}
	leaf := issue(t, ca, testkit.Leaf{Addresses: []string{anna}, Key: "p256", Change: func(c *x509.Certificate) {
		c.IssuingCertificateURL = []string{"http://ca.example/"}
	}})
	for name, f := range map[string]*finder{"deep": &deep, "wide": &wide} {
		opts := lookup.TrustOptions{Roots: []*x509.Certificate{root.Cert}, Issuers: f}
		a := trusted(t, always(found(leaf)), opts).Lookup(context.Background(), parse(t, anna))
		if c := a.Candidates[0]; c.Usable || c.Reason != reason.CertificateUntrusted {
			t.Errorf("%s: usable %v, %q", name, c.Usable, c.Reason)
		}
		if most := lookup.MaxFetchRounds * (1 + 2*lookup.MaxFetched); f.calls == 0 || f.calls > most {
			t.Errorf("%s: asked %d times, at most %d are allowed", name, f.calls, most)
		}
	}
}

// A certificate with thousands of names of other domains costs next to nothing
// for each.
func TestThousandsOfNames(t *testing.T) {
	ca := testkit.NewCA(t)
	with := func(n int) float64 {
		names := make([][]byte, 0, n+1)
		for i := range n {
			names = append(names, testkit.RFC822Name(fmt.Sprintf("%d@b.example", i)))
		}
		c := read(t, testkit.Forged{Extensions: [][]byte{testkit.SAN(t, append(names, testkit.RFC822Name(anna))...)}}.Sign(t, ca))
		judged := trusted(t, always(found(c)), lookup.TrustOptions{Vouch: lookup.Itself})
		return testing.AllocsPerRun(3, func() {
			if a := judged.Lookup(context.Background(), parse(t, anna)); a.Outcome != lookup.Found {
				t.Errorf("%d names: %v", n, a.Outcome)
			}
		})
	}
	if few, many := with(10), with(3500); many > few+35 {
		t.Errorf("%.0f allocations with 10 names, %.0f with 3500", few, many)
	}
}

// What strangers write into certificates, and crypto/x509 into its errors, is
// cut off and cleaned before it is shown.
func TestWordsAreFitForALog(t *testing.T) {
	long := strings.Repeat("\x1b[31m\r\n", 4000)
	ca := testkit.NewCA(t)
	named := func(c *x509.Certificate) { c.Subject.CommonName = long }
	rogue, namesake := testkit.NewCA(t).Intermediate(t, named), testkit.NewCA(t).Intermediate(t, named)
	for name, certs := range map[string][]*certificate.Certificate{
		"issuer": {issue(t, rogue, testkit.Leaf{Addresses: []string{anna}, Key: "p256"}), read(t, rogue.Cert.Raw)},
		// crypto/x509 quotes the name of an issuer whose key is another one.
		"namesake": {issue(t, rogue, testkit.Leaf{Addresses: []string{anna}, Key: "p256"}), read(t, namesake.Cert.Raw)},
		"names": {read(t, testkit.Forged{Extensions: [][]byte{testkit.SAN(t, testkit.RFC822Name(long), testkit.RFC822Name("b\xff@example.org"),
			testkit.RFC822Name("c@example.org"))}}.Sign(t, ca))},
		"subject": {read(t, testkit.Forged{Extensions: [][]byte{}, Subject: testkit.TLV(0x30, testkit.TLV(0x31, testkit.TLV(0x30,
			testkit.OID(t, 1, 2, 840, 113549, 1, 9, 1), testkit.TLV(0x0c, []byte(long)))))}.Sign(t, ca))},
	} {
		a := trusted(t, always(found(certs...)), lookup.TrustOptions{Roots: []*x509.Certificate{ca.Cert}}).Lookup(context.Background(), parse(t, anna))
		for _, c := range a.Candidates {
			if c.Why == "" || len(c.Why) > lookup.MaxWhy+len("…") || strings.ContainsAny(c.Why, "\x1b\r\n") || !utf8.ValidString(c.Why) {
				t.Errorf("%s: %d bytes: %.200q", name, len(c.Why), c.Why)
			}
			if len(c.Cert.Subject) > 1010 || len(c.Cert.Issuer) > 1010 {
				t.Errorf("%s: names of %d and %d bytes", name, len(c.Cert.Subject), len(c.Cert.Issuer))
			}
		}
	}
}
