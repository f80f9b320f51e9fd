package revocation

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"slices"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"sealpost/internal/testkit"
)

// Whatever bytes come, a list is the issuer's own or none: what is not signed
// by the issuer is never read. So the invariant is on what is accepted.
func FuzzList(f *testing.F) {
	a := testkit.NewAuthority(f)
	l := a.Issue(f, testkit.Leaf{Key: "p256"}).Cert
	good := a.List(f, testkit.List{Revoked: []testkit.Withdrawn{{Serial: l.SerialNumber, Reason: 1}}})
	scoped := a.List(f, testkit.List{Extensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 28}, Critical: true, Value: []byte{0x30, 3, 0x84, 1, 0xff}}}})
	var signed [][]byte
	for _, der := range [][]byte{good, scoped} {
		f.Add(der)
		p, _ := split(der)
		signed = append(signed, p.signed)
	}
	f.Add([]byte("-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := readList(data, a.Cert, time.Now())
		if (l == nil) == (err == nil) {
			t.Fatalf("list %v, error %v", l, err)
		}
		if l != nil && !slices.ContainsFunc(signed, func(s []byte) bool { return bytes.Contains(data, s) }) {
			t.Fatal("accepted, and never signed")
		}
		var entries list
		entries.scope.indirect = len(data)%2 == 0
		_ = entries.readEntries(data) // past the signature: must only not panic or run away
		if entries.revoked.size() > int64(64*len(data)+4096) {
			t.Fatalf("%d bytes became %d", len(data), entries.revoked.size())
		}
	})
}

// What an answer says is only ever believed about the certificate asked for.
func FuzzAnswer(f *testing.F) {
	a := testkit.NewAuthority(f)
	l := a.Issue(f, testkit.Leaf{Key: "p256"}).Cert
	good := a.Answer(f, a.Says(l.SerialNumber))
	f.Add(good)
	f.Add(a.Answer(f, a.Says(a.Cert.SerialNumber)))
	f.Add(ocsp.UnauthorizedErrorResponse)
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := readAnswer(data, l, a.Cert, time.Now())
		if (r == nil) == (err == nil) {
			t.Fatalf("answer %v, error %v", r, err)
		}
		if r == nil {
			return
		}
		parsed, err := ocsp.ParseResponseForCert(data, l, a.Cert)
		if err != nil || parsed.SerialNumber.Cmp(l.SerialNumber) != 0 {
			t.Fatalf("accepted, and another reader says %v", err)
		}
	})
}

// What a certificate points to is bounded, whatever stands in it.
func FuzzPointers(f *testing.F) {
	a := testkit.NewAuthority(f)
	l := a.Issue(f, testkit.Leaf{Key: "p256", Change: a.Points("crl", "ocsp")}).Cert
	for _, e := range l.Extensions {
		f.Add(e.Value)
	}
	f.Add([]byte{0x30, 6, 0x30, 4, 0x81, 2, 1, 0x60})
	f.Fuzz(func(t *testing.T, value []byte) {
		p := pointersOf(&x509.Certificate{Extensions: []pkix.Extension{{Id: oidDistributionPoints, Value: value}}})
		if len(p.points) > maxPoints {
			t.Fatalf("%d points", len(p.points))
		}
		for _, pt := range p.points {
			if len(pt.urls) > maxURLs || pt.reasons&^allReasons != 0 {
				t.Fatalf("%+v", pt)
			}
			for _, u := range pt.urls {
				if !fetchable(u) {
					t.Fatalf("%q", u)
				}
			}
		}
		if s, err := readScope(value); err == nil && s.reasons&^allReasons != 0 {
			t.Fatalf("%+v", s)
		}
	})
}
