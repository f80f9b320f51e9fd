package lookup_test

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"slices"
	"testing"
	"time"

	"sealpost/internal/certificate"
	"sealpost/internal/reason"
	"sealpost/internal/testkit"
	"sealpost/lookup"
)

const anna = "anna@example.org"

// A verdict is what is expected of one answer: with the first of its
// certificates usable, or refused for a reason.
type verdict struct {
	name  string
	certs []*certificate.Certificate
	pki   reason.Token // under PKI; None: usable
	self  reason.Token // when the source vouches
	addr  string       // default: anna@example.org
	fold  bool
}

func TestTrustedVerdicts(t *testing.T) {
	ca := testkit.NewCA(t)
	var table []verdict
	for _, part := range [][]verdict{
		keyVerdicts(t, ca), usageVerdicts(t, ca), dateVerdicts(t, ca), addressVerdicts(t, ca), oddVerdicts(t, ca), chainVerdicts(t, ca),
	} {
		table = append(table, part...)
	}
	for _, v := range table {
		for vouch, want := range map[lookup.Vouch]reason.Token{lookup.PKI: v.pki, lookup.Itself: v.self} {
			opts := lookup.TrustOptions{Vouch: vouch, Roots: []*x509.Certificate{ca.Cert}, FoldLocal: v.fold}
			if v.addr == "" {
				v.addr = anna
			}
			a := trusted(t, always(found(v.certs...)), opts).Lookup(context.Background(), parse(t, v.addr))
			got := a.Candidates[0]
			if got.Reason != want || got.Usable != (want == reason.None) {
				t.Errorf("%s, vouched by %v: usable %v, reason %q (%s), want %q", v.name, vouch, got.Usable, got.Reason, got.Why, want)
			}
			if (got.Why == "") != got.Usable || got.Until.IsZero() == got.Usable {
				t.Errorf("%s: usable %v until %v, because %q", v.name, got.Usable, got.Until, got.Why)
			}
			if got.Usable && (a.Outcome != lookup.Found || a.Reason != reason.None) {
				t.Errorf("%s: outcome %v, reason %q", v.name, a.Outcome, a.Reason)
			}
		}
	}
}

func keyVerdicts(t *testing.T, ca *testkit.CA) (table []verdict) {
	for kind, token := range map[string]reason.Token{
		"rsa2048": "", "rsa3072": "", "p256": "", "p384": "", "p521": "", "x25519": "",
		"rsa1024": reason.CertificateWeakKey, "ed25519": reason.CertificateKeyKind,
	} {
		c := issue(t, ca, testkit.Leaf{Addresses: []string{anna}, Key: kind})
		table = append(table, verdict{name: kind, certs: only(c), pki: token, self: token})
	}
	return table
}

func only(c *certificate.Certificate) []*certificate.Certificate {
	return []*certificate.Certificate{c}
}

func usageVerdicts(t *testing.T, ca *testkit.CA) (table []verdict) {
	const token = reason.CertificateUsage
	add := func(name string, leaf testkit.Leaf, want reason.Token) {
		leaf.Addresses = []string{anna}
		table = append(table, verdict{name: name, certs: only(issue(t, ca, leaf)), pki: want, self: want})
	}
	bare := func(c *x509.Certificate) { c.KeyUsage, c.ExtKeyUsage = 0, nil }
	add("RSA that signs", testkit.Leaf{Usage: x509.KeyUsageDigitalSignature}, token)
	add("RSA with dataEncipherment", testkit.Leaf{Usage: x509.KeyUsageDataEncipherment}, token)
	add("RSA with keyAgreement", testkit.Leaf{Usage: x509.KeyUsageKeyAgreement}, token)
	add("EC that signs", testkit.Leaf{Key: "p256", Usage: x509.KeyUsageDigitalSignature}, token)
	add("EC with keyEncipherment", testkit.Leaf{Key: "p256", Usage: x509.KeyUsageKeyEncipherment}, token)
	add("without any usage", testkit.Leaf{Change: bare}, "")
	add("for web clients", testkit.Leaf{ExtUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, token)
	add("for web clients and mail", testkit.Leaf{ExtUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageEmailProtection}}, "")
	add("for anything", testkit.Leaf{ExtUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}, "")
	add("for something unknown", testkit.Leaf{Change: func(c *x509.Certificate) {
		c.ExtKeyUsage, c.UnknownExtKeyUsage = nil, []asn1.ObjectIdentifier{{1, 2, 3}}
	}}, token)
	return table
}

func dateVerdicts(t *testing.T, ca *testkit.CA) (table []verdict) {
	now := time.Now()
	for name, v := range map[string]struct {
		from, to time.Duration
		token    reason.Token
	}{
		"expired":       {-48 * time.Hour, -time.Minute, reason.CertificateExpired},
		"not yet valid": {time.Minute, time.Hour, reason.CertificateNotYetValid},
	} {
		c := issue(t, ca, testkit.Leaf{Addresses: []string{anna}, NotBefore: now.Add(v.from), NotAfter: now.Add(v.to)})
		table = append(table, verdict{name: name, certs: only(c), pki: v.token, self: v.token})
	}
	return table
}

func addressVerdicts(t *testing.T, ca *testkit.CA) (table []verdict) {
	const token = reason.CertificateAddress
	add := func(name, addr string, fold bool, want reason.Token, addresses ...string) {
		c := issue(t, ca, testkit.Leaf{Name: name, Addresses: addresses})
		table = append(table, verdict{name: name, addr: addr, fold: fold, certs: only(c), pki: want, self: want})
	}
	add("another local part", anna, true, token, "bob@example.org")
	add("another domain", anna, true, token, "anna@example.com")
	add("a domain below", anna, true, token, "anna@mail.example.org")
	add("no address", anna, true, token)
	add("another case of the domain", anna, false, "", "anna@Example.ORG")
	add("another case of the local part", anna, false, token, "Anna@example.org")
	add("another case, allowed", anna, true, "", "Anna@example.org")
	add("one of several", anna, false, "", "a@example.org", anna, "b@example.org")
	add("NUL in the name", anna, false, token, "anna@example.org\x00.example.com")
	add("IDN, asked in U-labels", "anna@bücher.example", false, "", "anna@xn--bcher-kva.example")

	utf8 := func(mailbox string, critical bool) *certificate.Certificate {
		return issue(t, ca, testkit.Leaf{Name: mailbox, Change: func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Critical: critical, Value: testkit.TLV(0x30, testkit.SmtpUTF8Mailbox(t, mailbox))}}
		}})
	}
	table = append(table,
		verdict{name: "IDN in U-labels, asked in A-labels", addr: "jürgen@xn--bcher-kva.example", certs: only(utf8("jürgen@bücher.example", false))},
		verdict{name: "SmtpUTF8Mailbox in a critical extension", addr: "jürgen@bücher.example", certs: only(utf8("jürgen@bücher.example", true))},
		verdict{name: "SmtpUTF8Mailbox of another", addr: "jürgen@bücher.example", certs: only(utf8("jurgen@bücher.example", false)), pki: token, self: token},
		verdict{name: "in the subject only", certs: only(read(t, testkit.Forged{Subject: testkit.TLV(0x30, testkit.TLV(0x31, testkit.TLV(0x30,
			testkit.OID(t, 1, 2, 840, 113549, 1, 9, 1), testkit.TLV(0x16, []byte(anna)))))}.Sign(t, ca))), pki: token, self: token},
	)
	return table
}

func oddVerdicts(t *testing.T, ca *testkit.CA) []verdict {
	san := testkit.SAN(t, testkit.RFC822Name(anna))
	forged := func(f testkit.Forged) []*certificate.Certificate {
		f.Extensions = append(f.Extensions, san)
		return only(read(t, f.Sign(t, ca)))
	}
	brainpool := testkit.TLV(0x30, testkit.TLV(0x30, testkit.OID(t, 1, 2, 840, 10045, 2, 1), testkit.OID(t, 1, 3, 36, 3, 3, 2, 8, 1, 1, 7)),
		testkit.TLV(0x03, []byte{0, 4}, make([]byte, 64)))
	offCurve := testkit.TLV(0x30, testkit.TLV(0x30, testkit.OID(t, 1, 2, 840, 10045, 2, 1), testkit.OID(t, 1, 2, 840, 10045, 3, 1, 7)),
		testkit.TLV(0x03, []byte{0, 4}, make([]byte, 64)))
	return []verdict{
		{name: "negative serial", certs: forged(testkit.Forged{Serial: []byte{0x80}}), pki: reason.CertificateUnverified},
		{name: "brainpool", certs: forged(testkit.Forged{Key: brainpool}), pki: reason.CertificateKeyKind, self: reason.CertificateKeyKind},
		{name: "point off the curve", certs: forged(testkit.Forged{Key: offCurve}), pki: reason.CertificateKeyKind, self: reason.CertificateKeyKind},
		{name: "unknown critical extension", certs: forged(testkit.Forged{Extensions: [][]byte{testkit.Extension(t, true, []byte{5, 0}, 1, 2, 3, 4)}}),
			pki: reason.CertificateUnverified, self: reason.CertificateUnverified},
		{name: "unknown extension", certs: forged(testkit.Forged{Extensions: [][]byte{testkit.Extension(t, false, []byte{5, 0}, 1, 2, 3, 4)}})},
		{name: "forged signature", certs: only(read(t, spoil(issue(t, ca, testkit.Leaf{Addresses: []string{anna}}).Raw))), pki: reason.CertificateUntrusted},
	}
}

// spoil changes the last byte, which is one of the signature.
func spoil(der []byte) []byte {
	der = append([]byte(nil), der...)
	der[len(der)-1] ^= 1
	return der
}

func chainVerdicts(t *testing.T, ca *testkit.CA) []verdict {
	const token = reason.CertificateUntrusted
	leaf := testkit.Leaf{Addresses: []string{anna}}
	below := func(change func(*x509.Certificate)) []*certificate.Certificate {
		sub := ca.Intermediate(t, change)
		return []*certificate.Certificate{issue(t, sub, leaf), read(t, sub.Cert.Raw)}
	}
	constrained := func(c *x509.Certificate) { c.PermittedEmailAddresses = []string{"example.net"} }
	utf8Below := func(change func(*x509.Certificate)) []*certificate.Certificate {
		sub := ca.Intermediate(t, change)
		c := read(t, testkit.Forged{Extensions: [][]byte{testkit.SAN(t, testkit.SmtpUTF8Mailbox(t, "änna@example.org"))}}.Sign(t, sub))
		return []*certificate.Certificate{c, read(t, sub.Cert.Raw)}
	}
	host := ca.Intermediate(t, func(c *x509.Certificate) { c.PermittedEmailAddresses = []string{"example.org"} })
	hostBelow := []*certificate.Certificate{issue(t, host, testkit.Leaf{Addresses: []string{"anna@mail.example.org"}}), read(t, host.Cert.Raw)}
	other := testkit.NewCA(t)
	const änna = "änna@example.org"
	return []verdict{
		{name: "unknown root", certs: only(issue(t, other, leaf)), pki: token},
		{name: "the root itself", certs: only(read(t, ca.Cert.Raw)), pki: reason.CertificateCA, self: reason.CertificateCA},
		{name: "intermediate in the answer", certs: below(nil)},
		{name: "intermediate missing", certs: below(nil)[:1], pki: token},
		{name: "expired intermediate", certs: below(func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }), pki: token},
		{name: "intermediate for web servers", certs: below(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }), pki: token},
		{name: "intermediate that is no CA", certs: below(func(c *x509.Certificate) { c.IsCA, c.KeyUsage = false, x509.KeyUsageDigitalSignature }), pki: token},
		{name: "name constraint", certs: below(constrained), pki: token},
		{name: "name constraint that allows", certs: below(func(c *x509.Certificate) { c.PermittedEmailAddresses = []string{"example.org"} })},
		{name: "name constraint, a host below", addr: "anna@mail.example.org", certs: hostBelow, pki: token},
		{name: "name constraint, SmtpUTF8Mailbox", addr: änna, certs: utf8Below(constrained), pki: token},
		{name: "name constraint excludes, SmtpUTF8Mailbox", addr: änna, certs: utf8Below(func(c *x509.Certificate) { c.ExcludedEmailAddresses = []string{"example.org"} }), pki: token},
		{name: "name constraint that allows, SmtpUTF8Mailbox", addr: änna, certs: utf8Below(func(c *x509.Certificate) { c.PermittedEmailAddresses = []string{"example.org"} })},
		{name: "name constraint below, SmtpUTF8Mailbox", addr: änna, certs: utf8Below(func(c *x509.Certificate) { c.PermittedEmailAddresses = []string{".example.org"} }), pki: token},
	}
}

func TestTrustedOutcomes(t *testing.T) {
	ca := testkit.NewCA(t)
	addr := parse(t, anna)
	good := issue(t, ca, testkit.Leaf{Addresses: []string{anna}})
	bob := issue(t, ca, testkit.Leaf{Addresses: []string{"bob@example.org"}})
	expired := issue(t, ca, testkit.Leaf{Addresses: []string{anna}, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(-time.Hour)})
	weakUse := issue(t, ca, testkit.Leaf{Addresses: []string{anna}, Usage: x509.KeyUsageDigitalSignature})
	partly := func(a lookup.Answer) lookup.Answer { a.Err = certificate.ErrTruncated; return a }

	for name, test := range map[string]struct {
		from    lookup.Answer
		outcome lookup.Outcome
		token   reason.Token
	}{
		"usable":                      {found(good), lookup.Found, reason.None},
		"usable beside refused":       {found(bob, expired, good), lookup.Found, reason.None},
		"usable beside unreadable":    {partly(found(good)), lookup.Found, reason.None},
		"refused":                     {found(weakUse, expired), lookup.None, reason.CertificateExpired},
		"refused beside unreadable":   {partly(found(expired)), lookup.Unavailable, reason.CertificateUnreadable},
		"refused beside another's":    {found(bob, expired), lookup.None, reason.CertificateExpired},
		"only another's":              {found(bob), lookup.Unavailable, reason.CertificateAddress},
		"only another's and a root":   {found(bob, read(t, ca.Cert.Raw)), lookup.Unavailable, reason.CertificateAddress},
		"found nothing":               {found(), lookup.Unavailable, reason.LookupUnavailable},
		"none stays none":             {lookup.Answer{Outcome: lookup.None, Reason: reason.NoCertificate}, lookup.None, reason.NoCertificate},
		"unavailable stays that":      {lookup.Answer{Err: errDown, Reason: reason.LookupUnavailable}, lookup.Unavailable, reason.LookupUnavailable},
		"nobody said anything at all": {lookup.Answer{}, lookup.Unavailable, reason.None},
	} {
		source := trusted(t, always(test.from), lookup.TrustOptions{Vouch: lookup.Itself})
		a := source.Lookup(context.Background(), addr)
		if a.Outcome != test.outcome || a.Reason != test.token {
			t.Errorf("%s: %v, reason %q, want %v, %q", name, a.Outcome, a.Reason, test.outcome, test.token)
		}
	}
}

// Another case of the local part serves only when no certificate is for the
// very address, usable or not.
func TestTrustedExactLocalPartFirst(t *testing.T) {
	ca := testkit.NewCA(t)
	other := issue(t, ca, testkit.Leaf{Addresses: []string{"Anna@example.org"}})
	expired := issue(t, ca, testkit.Leaf{Addresses: []string{anna}, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(-time.Hour)})
	source := trusted(t, always(found(other, expired)), lookup.TrustOptions{Vouch: lookup.Itself, FoldLocal: true})
	if a := source.Lookup(context.Background(), parse(t, anna)); a.Outcome != lookup.None || a.Reason != reason.CertificateExpired {
		t.Errorf("%v, reason %q", a.Outcome, a.Reason)
	}
}

// A verdict must not outlive the chain that it rests on.
func TestTrustedUntilTheChainEnds(t *testing.T) {
	ca := testkit.NewCA(t)
	end := time.Now().Add(10 * time.Minute).Truncate(time.Second)
	sub := ca.Intermediate(t, func(c *x509.Certificate) { c.NotAfter = end })
	leaf := issue(t, sub, testkit.Leaf{Addresses: []string{anna}})
	source := trusted(t, always(found(leaf, read(t, sub.Cert.Raw))), lookup.TrustOptions{Roots: []*x509.Certificate{ca.Cert}})
	if a := source.Lookup(context.Background(), parse(t, anna)); !a.Candidates[0].Until.Equal(end) {
		t.Errorf("until %v, the intermediate until %v", a.Candidates[0].Until, end)
	}
}

// Who vouches is named, from the issuer up to the root.
func TestTrustedNamesTheChain(t *testing.T) {
	ca := testkit.NewCA(t)
	sub := ca.Intermediate(t, nil)
	leaf := issue(t, sub, testkit.Leaf{Addresses: []string{anna}})
	for vouch, want := range map[lookup.Vouch][]string{
		lookup.PKI:    {"CN=Sealpost Test Intermediate", "CN=Sealpost Test Root"},
		lookup.Itself: nil,
	} {
		source := trusted(t, always(found(leaf, read(t, sub.Cert.Raw))), lookup.TrustOptions{Vouch: vouch, Roots: []*x509.Certificate{ca.Cert}})
		if got := source.Lookup(context.Background(), parse(t, anna)).Candidates[0]; !slices.Equal(got.Chain, want) || got.Vouch != vouch {
			t.Errorf("%v: %q, vouched for by %v", vouch, got.Chain, got.Vouch)
		}
	}
}

func TestTrustedCountsRefusals(t *testing.T) {
	bob := issue(t, testkit.NewCA(t), testkit.Leaf{Addresses: []string{"bob@example.org"}})
	source := trusted(t, always(found(bob)), lookup.TrustOptions{Vouch: lookup.Itself})
	if n, ok := source.Refused()[reason.CertificateExpired]; n != 0 || !ok {
		t.Errorf("expired: %d, there: %v", n, ok)
	}
	source.Lookup(context.Background(), parse(t, anna))
	if n := source.Refused()[reason.CertificateAddress]; n != 1 {
		t.Errorf("address mismatch: %d", n)
	}
}

func TestNewTrustedWantsRoots(t *testing.T) {
	if _, err := lookup.NewTrusted(always(found()), lookup.TrustOptions{}); err == nil {
		t.Error("PKI without a root")
	}
}
