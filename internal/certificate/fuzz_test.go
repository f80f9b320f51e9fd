package certificate_test

import (
	"crypto/ecdh"
	"crypto/rsa"
	"testing"

	"sealpost/internal/certificate"
	"sealpost/internal/testkit"
)

// What parses keeps its promises, and agrees with crypto/x509 where that reads
// the same bytes.
func FuzzParse(f *testing.F) {
	ca := testkit.NewCA(f)
	for _, kind := range []string{"rsa2048", "p256", "x25519", "ed25519"} {
		f.Add(ca.Issue(f, testkit.Leaf{Addresses: []string{"anna@example.org"}, Key: kind}).Cert.Raw)
	}
	f.Add(ca.Cert.Raw)
	f.Add(testkit.Forged{Extensions: [][]byte{testkit.SAN(f, testkit.SmtpUTF8Mailbox(f, "jürgen@bücher.example"), testkit.RFC822Name("anna@example.org"))}}.Sign(f, ca))
	f.Fuzz(func(t *testing.T, der []byte) {
		c, err := certificate.Parse(der)
		if (c == nil) == (err == nil) {
			t.Fatalf("certificate %v and error %v", c, err)
		}
		if err != nil {
			return
		}
		agrees(t, c)
		if len(c.Subject) > 1010 || len(c.Issuer) > 1010 || len(c.KeyName) > 1000 {
			t.Errorf("names of %d, %d and %d bytes", len(c.Subject), len(c.Issuer), len(c.KeyName))
		}
		switch c.PublicKey.(type) {
		case nil, *rsa.PublicKey, *ecdh.PublicKey:
		default:
			t.Errorf("public key is a %T", c.PublicKey)
		}
		if c.PublicKey != nil && c.KeyKind != certificate.KeyRSA && c.KeyKind != certificate.KeyEC && c.KeyKind != certificate.KeyX25519 {
			t.Errorf("a public key of kind %s", c.KeyKind)
		}
	})
}

// Each certificate that comes out of a bundle parses on its own, and nothing
// but a clean bundle is without an error.
func FuzzParseAll(f *testing.F) {
	ca := testkit.NewCA(f)
	anna, bob := ca.For(f, "anna@example.org"), ca.For(f, "bob@example.org")
	f.Add(anna.Cert.Raw)
	f.Add(append(anna.CertPEM, bob.CertPEM...))
	f.Add(append(anna.CertPEM, bob.KeyPEM...))
	f.Add(certsOnly(f, testkit.TLV, anna.Cert.Raw, bob.Cert.Raw))
	f.Add(certsOnly(f, ber, anna.Cert.Raw))
	f.Fuzz(func(t *testing.T, data []byte) {
		certs, err := certificate.ParseAll(data)
		if len(certs) == 0 && err == nil {
			t.Fatal("neither a certificate nor an error")
		}
		for _, c := range certs {
			if again, err := certificate.Parse(c.Raw); err != nil || again.Subject != c.Subject {
				t.Fatalf("does not parse again: %v", err)
			}
		}
	})
}

// The fuzzer seldom keeps the lengths of DER intact; this does.
func TestParseEveryByteChanged(t *testing.T) {
	ca := testkit.NewCA(t)
	for _, kind := range []string{"rsa2048", "p256"} {
		good := ca.Issue(t, testkit.Leaf{Addresses: []string{"anna@example.org"}, Key: kind}).Cert.Raw
		for i := range good {
			for _, change := range []byte{0x01, 0x02, 0x10, 0x20, 0x80, 0xff} {
				der := append([]byte(nil), good...)
				der[i] ^= change
				if c, err := certificate.Parse(der); err == nil {
					agrees(t, c)
				}
			}
			if t.Failed() {
				t.Fatalf("with byte %d of the %s certificate changed", i, kind)
			}
		}
	}
}
