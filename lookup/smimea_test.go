package lookup_test

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"strings"
	"testing"
	"time"

	"sealpost/internal/reason"
	"sealpost/internal/testkit"
	"sealpost/lookup"
	"sealpost/lookup/smimea"
)

// smimeaAt is the first label and the second of a record's name.
func smimeaAt(local string) string {
	sum := sha256.Sum256([]byte(local))
	return fmt.Sprintf("%x._smimecert", sum[:28])
}

// smimeaRecord is a line of a zone file.
func smimeaRecord(local, params string, data []byte) string {
	return fmt.Sprintf("%s SMIMEA %s %X", smimeaAt(local), params, data)
}

// A dnsWorld has a person in each zone and every kind of record.
type dnsWorld struct {
	*testkit.DNS
	ca *testkit.CA
}

func newDNSWorld(t testing.TB) *dnsWorld {
	t.Helper()
	w := &dnsWorld{ca: testkit.NewCA(t)}
	stranger := testkit.NewCA(t)
	cert := func(ca *testkit.CA, address string) []byte {
		return ca.Issue(t, testkit.Leaf{Addresses: []string{address}, Key: "p256"}).Cert.Raw
	}
	of := func(ca *testkit.CA, zone, local, params string) string {
		return smimeaRecord(local, params, cert(ca, local+"@"+zone))
	}
	person := func(zone string) []string { return []string{of(stranger, zone, "anna", "3 0 0")} }
	expired := stranger.Issue(t, testkit.Leaf{Addresses: []string{"expired@signed.example"}, Key: "p256",
		NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(-time.Hour)}).Cert.Raw
	spki := w.ca.Cert.RawSubjectPublicKeyInfo
	hash := sha256.Sum256(expired)
	signed := append(person("signed.example"),
		of(w.ca, "signed.example", "known", "1 0 0"), of(stranger, "signed.example", "unknown", "1 0 0"),
		smimeaRecord("expired", "3 0 0", expired), smimeaRecord("hash", "3 0 1", hash[:]), smimeaRecord("key", "3 1 0", spki),
		smimeaRecord("anchor", "2 0 0", w.ca.Cert.Raw), smimeaRecord("constraint", "0 0 0", w.ca.Cert.Raw),
		smimeaRecord("future", "3 7 9", spki), smimeaRecord("private", "255 0 0", spki),
		smimeaRecord("garbage", "3 0 0", spki[:20]), of(stranger, "elsewhere.example", "liar", "3 0 0"),
		smimeaRecord("liar", "3 0 0", cert(stranger, "somebody@signed.example")),
		of(stranger, "signed.example", "mixed", "3 0 0"), smimeaRecord("mixed", "3 0 1", hash[:]), smimeaRecord("mixed", "2 0 0", stranger.Cert.Raw),
		"text._smimecert TXT here", smimeaAt("nodata")+" TXT here",
		smimeaAt("alias")+" CNAME "+smimeaAt("anna")+".nsec3.example.", smimeaAt("tounsigned")+" CNAME "+smimeaAt("anna")+".unsigned.example.",
		smimeaAt("tobogus")+" CNAME "+smimeaAt("anna")+".bogus.example.", smimeaAt("tonothing")+" CNAME nothing.nsec3.example.",
		smimeaAt("loop")+" CNAME "+smimeaAt("loop"),
	)
	for range 10 {
		signed = append(signed, of(stranger, "signed.example", "ten", "3 0 0"))
	}
	for range 33 {
		signed = append(signed, of(stranger, "signed.example", "crowd", "3 0 0"))
	}
	garble := func(what string) func(string) string { return func(s string) string { return garbled(s, what) } }
	w.DNS = testkit.StartDNS(t, testkit.DNSOptions{TLS: w.ca.Server(t, "resolver.example"), Zones: []testkit.Zone{
		{Name: "signed.example", Records: signed},
		{Name: "nsec3.example", Records: []string{of(stranger, "signed.example", "alias", "3 0 0"),
			smimeaRecord("anna", "3 0 0", cert(stranger, "alias@signed.example"))}, NSEC3: true},
		{Name: "wild.example", Records: []string{fmt.Sprintf("*._smimecert SMIMEA 3 0 0 %X", cert(stranger, "anna@wild.example"))}},
		{Name: "optout.example", Records: person("optout.example"), OptOut: true},
		{Name: "bogus.example", Records: person("bogus.example"), Spoil: garble("RRSIG\tSMIMEA")},
		{Name: "bogusdenial.example", Spoil: garble("RRSIG\tNSEC")},
		{Name: "expired.example", Records: person("expired.example"), Expired: true},
		{Name: "unsigned.example", Records: person("unsigned.example"), Unsigned: true},
		{Name: "island.example", Records: person("island.example"), Island: true},
		{Name: "lame.example", Lame: true},
		{Name: "dname.example", Records: []string{"_smimecert DNAME _smimecert.signed.example."}},
	}})
	return w
}

// garbled changes a letter in the signatures behind what.
func garbled(zone, what string) string {
	lines := strings.SplitAfter(zone, "\n")
	for i, line := range lines {
		if strings.Contains(line, what) {
			flip := map[byte]string{'A': "B"}[line[len(line)-10]]
			if flip == "" {
				flip = "A"
			}
			lines[i] = line[:len(line)-10] + flip + line[len(line)-9:]
		}
	}
	return strings.Join(lines, "")
}

func (w *dnsWorld) source(t testing.TB, opts lookup.SMIMEAOptions) *lookup.SMIMEA {
	t.Helper()
	if opts.Resolvers == nil {
		opts.Resolvers = []smimea.Resolver{{Address: w.Resolver}}
	}
	s, err := lookup.NewSMIMEA(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// What each kind of zone and record gives; only an authenticated denial, or
// what DNSSEC proves to be of no use, is None.
func TestSMIMEA(t *testing.T) {
	w := newDNSWorld(t)
	source := w.source(t, lookup.SMIMEAOptions{})
	judged := trusted(t, source, lookup.TrustOptions{Vouch: lookup.Itself, Roots: []*x509.Certificate{w.ca.Cert}})
	for _, test := range []struct {
		addr    string
		outcome lookup.Outcome
		token   reason.Token
		notes   string // a text in them; "": there are none
	}{
		{"anna@signed.example", lookup.Found, "", ""},
		{"anna@SIGNED.example", lookup.Found, "", ""},
		{`"anna"@signed.example`, lookup.Found, "", ""},
		{"alias@signed.example", lookup.Found, "", ""},
		{"known@signed.example", lookup.Found, "", ""},
		{"ten@signed.example", lookup.Found, "", ""},
		{"mixed@signed.example", lookup.Found, "", "hash only"},
		{"anna@optout.example", lookup.Found, "", ""},
		{"anna@wild.example", lookup.Found, "", ""},

		{"Anna@signed.example", lookup.None, reason.NoCertificate, ""},
		{"nobody@signed.example", lookup.None, reason.NoCertificate, ""},
		{"nobody@nsec3.example", lookup.None, reason.NoCertificate, ""},
		{"nodata@signed.example", lookup.None, reason.NoCertificate, ""},
		{"tonothing@signed.example", lookup.None, reason.NoCertificate, ""},
		{"nobody@missing.example", lookup.None, reason.NoCertificate, ""},
		{"anna@[192.0.2.1]", lookup.None, reason.NoCertificate, "no domain name"},
		{"anna@" + strings.Repeat("a.", 120) + "example", lookup.None, reason.NoCertificate, "too long"},
		{"nobody@dname.example", lookup.None, reason.NoCertificate, ""},
		{"nobody@island.example", lookup.None, reason.NoCertificate, "not signed"},
		{"nobody@optout.example", lookup.None, reason.NoCertificate, "not signed"},
		{"anna@unsigned.example", lookup.None, reason.NoCertificate, "1 SMIMEA records not used"},
		{"nobody@unsigned.example", lookup.None, reason.NoCertificate, "not signed"},
		{"anna@island.example", lookup.None, reason.NoCertificate, "not signed"},
		{"tounsigned@signed.example", lookup.None, reason.NoCertificate, "not signed"},
		{"hash@signed.example", lookup.None, reason.NoCertificate, "hash only"},
		{"key@signed.example", lookup.None, reason.NoCertificate, "bare public key"},
		{"anchor@signed.example", lookup.None, reason.NoCertificate, "2 (DANE-TA)"},
		{"constraint@signed.example", lookup.None, reason.NoCertificate, "0 (PKIX-TA)"},
		{"future@signed.example", lookup.None, reason.NoCertificate, "selector 7"},
		{"private@signed.example", lookup.None, reason.NoCertificate, "usage 255"},
		{"expired@signed.example", lookup.None, reason.CertificateExpired, ""},
		{"unknown@signed.example", lookup.None, reason.CertificateUntrusted, ""},

		{"anna@bogus.example", lookup.Unavailable, reason.LookupUnavailable, ""},
		{"tobogus@signed.example", lookup.Unavailable, reason.LookupUnavailable, ""},
		{"nobody@bogusdenial.example", lookup.Unavailable, reason.LookupUnavailable, ""},
		{"anna@expired.example", lookup.Unavailable, reason.LookupUnavailable, ""},
		{"nobody@expired.example", lookup.Unavailable, reason.LookupUnavailable, ""},
		{"anna@lame.example", lookup.Unavailable, reason.LookupUnavailable, ""},
		{"loop@signed.example", lookup.Unavailable, reason.LookupUnavailable, ""},
		{"crowd@signed.example", lookup.Unavailable, reason.LookupUnavailable, ""},
		{"garbage@signed.example", lookup.Unavailable, reason.CertificateUnreadable, ""},
		{"ben@wild.example", lookup.Unavailable, reason.CertificateAddress, ""},
		{"anna@dname.example", lookup.Unavailable, reason.CertificateAddress, ""},
		{"liar@signed.example", lookup.Unavailable, reason.CertificateAddress, ""},
	} {
		a := judged.Lookup(context.Background(), parse(t, test.addr))
		if a.Outcome != test.outcome || a.Reason != test.token || (a.Err == nil) == (a.Outcome == lookup.Unavailable) {
			t.Errorf("%s: %v, reason %q, %v", test.addr, a.Outcome, a.Reason, a.Err)
		}
		if notes := strings.Join(a.Notes, "\n"); !strings.Contains(notes, test.notes) || (notes == "") != (test.notes == "") {
			t.Errorf("%s: notes %q", test.addr, notes)
		}
		if test.addr == "ten@signed.example" && len(a.Candidates) != 10 {
			t.Errorf("%s: %d certificates", test.addr, len(a.Candidates))
		}
	}
}
