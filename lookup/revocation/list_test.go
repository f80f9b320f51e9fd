package revocation_test

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"testing"
	"time"

	"sealpost/internal/testkit"
	"sealpost/lookup/revocation"
)

func noRevocation(c *x509.Certificate) {
	c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 56}, Value: []byte{5, 0}})
}

func critical(value []byte, arcs ...int) pkix.Extension {
	return pkix.Extension{Id: arcs, Critical: true, Value: value}
}

// uriPoint is a DistributionPointName with one URL.
func uriPoint(url string) []byte {
	return testkit.TLV(0xa0, testkit.TLV(0xa0, testkit.TLV(0x86, []byte(url))))
}

// issuingPoint is the extension that says what a list speaks of.
func issuingPoint(parts ...[]byte) []pkix.Extension {
	return []pkix.Extension{critical(testkit.TLV(0x30, parts...), 2, 5, 29, 28)}
}

// directory is the GeneralNames of one directory name.
func directory(raw []byte) []byte { return testkit.TLV(0x30, testkit.TLV(0xa4, raw)) }

type listCase struct {
	name   string
	list   []byte
	status revocation.Status
	words  string
}

func TestLists(t *testing.T) {
	a := testkit.NewAuthority(t)
	l := leaf(t, a, "crl")
	for _, part := range [][]listCase{listForms(t, a, l), listSigners(t, a, l), listScopes(t, a), listEntries(t, a, l)} {
		for _, c := range part {
			a.Serve("/crl", c.list)
			want(t, c.name, ask(checker(t, revocation.Options{}), l, a.Cert), c.status, c.words)
		}
	}
}

func listForms(t *testing.T, a *testkit.Authority, l *x509.Certificate) []listCase {
	const unknown = revocation.Unknown
	hour := time.Hour
	now := time.Now()
	fine := a.List(t, testkit.List{})
	bad := a.List(t, testkit.List{Revoked: []testkit.Withdrawn{{Serial: l.SerialNumber, Reason: 4}}})
	return []listCase{
		{"DER", fine, revocation.Good, "/crl"},
		{"PEM", pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: bad}), revocation.Revoked, "superseded"},
		{"PEM, cut short", []byte("-----BEGIN X509 CRL-----\nAAAA"), unknown, "malformed"},
		{"nothing", nil, unknown, "malformed"},
		{"a page", []byte("<html>Welcome</html>"), unknown, "malformed"},
		{"truncated", fine[:len(fine)-10], unknown, "malformed"},
		{"trailing bytes are not signed", append(bytes.Clone(fine), 0, 0), revocation.Good, ""},
		{"a certificate", a.Cert.Raw, unknown, "malformed"},
		{"expired", a.List(t, testkit.List{From: now.Add(-2 * hour), To: now.Add(-hour)}), unknown, "out of date"},
		{"just expired", a.List(t, testkit.List{From: now.Add(-2 * hour), To: now.Add(-time.Minute)}), revocation.Good, ""},
		{"of the future", a.List(t, testkit.List{From: now.Add(hour), To: now.Add(2 * hour)}), unknown, "clock"},
		{"of a clock that is ahead", a.List(t, testkit.List{From: now.Add(time.Minute)}), revocation.Good, ""},
		{"unknown critical extension", a.List(t, testkit.List{Extensions: []pkix.Extension{critical([]byte{5, 0}, 1, 2, 3)}}), unknown, "1.2.3"},
		{"unknown extension", a.List(t, testkit.List{Extensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3}, Value: []byte{5, 0}}}}), revocation.Good, ""},
		{"delta list", a.List(t, testkit.List{Extensions: []pkix.Extension{critical([]byte{2, 1, 1}, 2, 5, 29, 27)}}), unknown, "delta"},
	}
}

func listSigners(t *testing.T, a *testkit.Authority, l *x509.Certificate) []listCase {
	const unknown = revocation.Unknown
	bad := a.List(t, testkit.List{Revoked: []testkit.Withdrawn{{Serial: l.SerialNumber}}})
	forged := bytes.Clone(bad)
	forged[len(forged)-1] ^= 1
	namesake := testkit.NewCA(t) // the same name, another key
	stranger := testkit.NewCA(t).Intermediate(t, func(c *x509.Certificate) { c.Subject.CommonName = "Somebody" })
	return []listCase{
		{"forged signature", forged, unknown, "signature"},
		{"namesake of the issuer", a.List(t, testkit.List{Signer: namesake}), unknown, "signature"},
		{"another issuer", a.List(t, testkit.List{Signer: stranger}), unknown, "issuer"},
	}
}

func listScopes(t *testing.T, a *testkit.Authority) []listCase {
	const unknown, good = revocation.Unknown, revocation.Good
	yes := []byte{0xff}
	scoped := func(parts ...[]byte) []byte { return a.List(t, testkit.List{Extensions: issuingPoint(parts...)}) }
	return []listCase{
		{"for users", scoped(testkit.TLV(0x81, yes)), good, ""},
		{"for authorities", scoped(testkit.TLV(0x82, yes)), unknown, "kind"},
		{"for attributes", scoped(testkit.TLV(0x85, yes)), unknown, "kind"},
		{"this distribution point", scoped(uriPoint(a.URL + "/crl")), good, ""},
		{"another distribution point", scoped(uriPoint(a.URL + "/other")), unknown, "another distribution point"},
		{"relative distribution point", scoped(testkit.TLV(0xa0, testkit.TLV(0xa1))), unknown, "relative"},
		{"some reasons", scoped(testkit.TLV(0x83, []byte{1, 0x60})), unknown, "some reasons"},
		{"indirect", scoped(testkit.TLV(0x84, yes)), good, ""},
		{"unreadable", scoped([]byte{0x30, 0x03}), unknown, "cannot be read"},
	}
}

func listEntries(t *testing.T, a *testkit.Authority, l *x509.Certificate) (table []listCase) {
	at := time.Now().Add(-time.Hour)
	entry := func(serial *big.Int, ext ...pkix.Extension) x509.RevocationListEntry {
		return x509.RevocationListEntry{SerialNumber: serial, RevocationTime: at, ExtraExtensions: ext}
	}
	list := func(scope []pkix.Extension, entries ...x509.RevocationListEntry) []byte {
		return a.List(t, testkit.List{Entries: entries, Extensions: scope})
	}
	for code, word := range map[int]string{0: "no reason", 1: "keyCompromise", 2: "cACompromise", 3: "affiliation", 4: "superseded", 5: "cessation", 6: "certificateHold", 9: "privilege", 10: "aACompromise"} {
		table = append(table, listCase{word, a.List(t, testkit.List{Revoked: []testkit.Withdrawn{{Serial: l.SerialNumber, Reason: code}}}), revocation.Revoked, word})
	}
	ofStranger := critical(directory(testkit.TLV(0x30)), 2, 5, 29, 29)
	ours := critical(directory(a.Cert.RawSubject), 2, 5, 29, 29)
	indirect := issuingPoint(testkit.TLV(0x84, []byte{0xff}))
	one := big.NewInt(1)
	return append(table,
		listCase{"removed", a.List(t, testkit.List{Revoked: []testkit.Withdrawn{{Serial: l.SerialNumber, Reason: 8}}}), revocation.Good, ""},
		listCase{"reason out of the list", a.List(t, testkit.List{Revoked: []testkit.Withdrawn{{Serial: one, Reason: 11}}}), revocation.Unknown, "malformed"},
		listCase{"with a date of invalidity", list(nil, entry(l.SerialNumber, pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 24}, Value: []byte("\x18\x0f20200101000000Z")})), revocation.Revoked, ""},
		listCase{"critical in another entry", list(nil, entry(one, critical([]byte{5, 0}, 1, 2, 3))), revocation.Unknown, "1.2.3"},
		listCase{"issuer in an entry of a direct list", list(nil, entry(one, ours)), revocation.Unknown, "critical"},
		listCase{"same number, another issuer", list(indirect, entry(l.SerialNumber, ofStranger)), revocation.Good, ""},
		listCase{"after an entry of another issuer", list(indirect, entry(one, ofStranger), entry(l.SerialNumber)), revocation.Good, ""},
		listCase{"after another issuer, ours again", list(indirect, entry(one, ofStranger), entry(l.SerialNumber, ours)), revocation.Revoked, ""},
		listCase{"before an entry of another issuer", list(indirect, entry(l.SerialNumber), entry(one, ofStranger)), revocation.Revoked, ""},
	)
}

// An issuer that may not sign lists has none.
func TestListSignerUsage(t *testing.T) {
	root := testkit.NewAuthority(t)
	for usage, status := range map[x509.KeyUsage]revocation.Status{
		x509.KeyUsageCertSign | x509.KeyUsageCRLSign: revocation.Good, x509.KeyUsageCertSign: revocation.Unknown,
	} {
		sub := root.Intermediate(t, func(c *x509.Certificate) { c.KeyUsage = usage; root.Points("crl")(c) })
		a := sub.Authority(t)
		signer := *sub.Cert
		signer.KeyUsage |= x509.KeyUsageCRLSign // or the library would not sign
		a.Serve("/crl", a.List(t, testkit.List{Signer: sub.WithCert(&signer)}))
		want(t, "key usage", ask(checker(t, revocation.Options{}), leaf(t, a, "crl"), sub.Cert, root.Cert), status)
	}
}

// A list that comes after a newer one is a replay, and changes nothing.
func TestListPlayedBack(t *testing.T) {
	a := testkit.NewAuthority(t)
	var clock movable
	l := leaf(t, a, "crl")
	now := time.Now()
	day := now.Add(24 * time.Hour)
	bad := []testkit.Withdrawn{{Serial: l.SerialNumber}}
	for name, replay := range map[string]testkit.List{
		"a lower number": {Number: 6, From: now.Add(-time.Second), To: day, Revoked: []testkit.Withdrawn{}},
		"an older date":  {Number: 8, From: now.Add(-time.Hour), To: day, Revoked: []testkit.Withdrawn{}},
	} {
		a.Serve("/crl", a.List(t, testkit.List{Number: 7, From: now.Add(-time.Minute), To: day, Revoked: bad}))
		c := checker(t, revocation.Options{Clock: clock.now})
		want(t, "fetched", ask(c, l, a.Cert), revocation.Revoked)
		a.Serve("/crl", a.List(t, replay))
		clock.pass(7 * time.Hour)
		want(t, name, ask(c, l, a.Cert), revocation.Revoked)
		testkit.Poll(t, "the second fetch", func() bool { return c.Stats().ListFailures == 1 })
		want(t, name, ask(c, l, a.Cert), revocation.Revoked)
	}
}

// Lists for some reasons each are good enough together.
func TestListsForReasons(t *testing.T) {
	a := testkit.NewAuthority(t)
	some := func(url string, mask ...byte) []byte {
		return testkit.TLV(0x30, uriPoint(url), testkit.TLV(0x81, mask))
	}
	two := func(first, second []byte) *x509.Certificate {
		return a.Issue(t, testkit.Leaf{Key: "p256", Change: func(c *x509.Certificate) {
			c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 31}, Value: testkit.TLV(0x30, first, second)})
		}}).Cert
	}
	half, rest := []byte{1, 0x60}, []byte{7, 0x1f, 0x80} // bits 1 and 2; bits 3 to 8
	both := two(some(a.URL+"/half", half...), some(a.URL+"/rest", rest...))
	a.Serve("/half", a.List(t, testkit.List{Extensions: issuingPoint(testkit.TLV(0x83, half))}))
	a.Serve("/rest", a.List(t, testkit.List{Extensions: issuingPoint(testkit.TLV(0x83, rest))}))
	want(t, "both", ask(checker(t, revocation.Options{}), both, a.Cert), revocation.Good)
	want(t, "one twice", ask(checker(t, revocation.Options{}), two(some(a.URL+"/half", half...), some(a.URL+"/half", half...)), a.Cert), revocation.Unknown, "reasons")
	a.Serve("/rest", a.List(t, testkit.List{Extensions: issuingPoint(testkit.TLV(0x83, rest)), Revoked: []testkit.Withdrawn{{Serial: both.SerialNumber, Reason: 4}}}))
	want(t, "withdrawn in the second", ask(checker(t, revocation.Options{}), both, a.Cert), revocation.Revoked)
	a.Handle("/half", nil)
	want(t, "the first away", ask(checker(t, revocation.Options{}), both, a.Cert), revocation.Revoked)
	foreign := two(testkit.TLV(0x30, uriPoint(a.URL+"/crl"), testkit.TLV(0xa2, testkit.TLV(0xa4, testkit.TLV(0x30)))), nil)
	want(t, "signed by somebody else", ask(checker(t, revocation.Options{}), foreign, a.Cert), revocation.Unknown, "somebody else")
}
