package certificate_test

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rsa"
	"errors"
	"slices"
	"testing"

	"sealpost/internal/certificate"
	"sealpost/internal/testkit"
)

func TestParseAgreesWithX509(t *testing.T) {
	ca := testkit.NewCA(t)
	for kind, want := range map[string]struct {
		kind certificate.KeyKind
		name string
		bits int
	}{
		"rsa2048": {certificate.KeyRSA, "RSA 2048", 2048},
		"rsa3072": {certificate.KeyRSA, "RSA 3072", 3072},
		"p256":    {certificate.KeyEC, "EC P-256", 256},
		"p384":    {certificate.KeyEC, "EC P-384", 384},
		"p521":    {certificate.KeyEC, "EC P-521", 521},
		"x25519":  {certificate.KeyX25519, "X25519", 255},
		"ed25519": {certificate.KeyEd25519, "Ed25519", 255},
	} {
		id := ca.Issue(t, testkit.Leaf{Addresses: []string{"anna@example.org", "Anna@EXAMPLE.org"}, Key: kind})
		c, err := certificate.Parse(id.Cert.Raw)
		if err != nil {
			t.Errorf("%s: %v", kind, err)
			continue
		}
		agrees(t, c)
		if _, err := c.X509(); err != nil {
			t.Errorf("%s: crypto/x509 refuses it: %v", kind, err)
		}
		if c.KeyKind != want.kind || c.KeyName != want.name || c.KeyBits != want.bits {
			t.Errorf("%s: key is %s, %s, %d bits", kind, c.KeyKind, c.KeyName, c.KeyBits)
		}
		if got := public(id.Key); got != nil && !got(c.PublicKey) {
			t.Errorf("%s: another public key: %v", kind, c.PublicKey)
		}
		if c.Subject != "CN=anna@example.org" || c.Issuer != "CN=Sealpost Test Root" {
			t.Errorf("%s: subject %q, issuer %q", kind, c.Subject, c.Issuer)
		}
	}
}

// public gives a comparison with the public half of a key that can be sealed to.
func public(key any) func(any) bool {
	switch k := key.(type) {
	case *rsa.PrivateKey:
		return func(got any) bool { p, ok := got.(*rsa.PublicKey); return ok && p.Equal(&k.PublicKey) }
	case interface {
		ECDH() (*ecdh.PrivateKey, error)
	}:
		e, err := k.ECDH()
		return func(got any) bool { p, ok := got.(*ecdh.PublicKey); return ok && err == nil && p.Equal(e.PublicKey()) }
	case *ecdh.PrivateKey:
		return func(got any) bool { p, ok := got.(*ecdh.PublicKey); return ok && p.Equal(k.PublicKey()) }
	}
	return nil
}

// agrees checks what must hold of every certificate, and what must be the same
// for each that crypto/x509 reads as well.
func agrees(t testing.TB, c *certificate.Certificate) {
	t.Helper()
	for name, raw := range map[string][]byte{
		"issuer": c.RawIssuer, "subject": c.RawSubject, "serial": c.RawSerial, "public key": c.RawPublicKey, "key id": c.SubjectKeyID,
	} {
		if !within(c.Raw, raw) {
			t.Errorf("%s lies outside the certificate", name)
		}
	}
	x, err := c.X509()
	if err != nil {
		return
	}
	if !bytes.Equal(c.RawIssuer, x.RawIssuer) || !bytes.Equal(c.RawSubject, x.RawSubject) ||
		!bytes.Equal(c.RawPublicKey, x.RawSubjectPublicKeyInfo) || c.Serial.Cmp(x.SerialNumber) != 0 {
		t.Error("issuer, subject, key or serial differ from what crypto/x509 reads")
	}
	if !c.NotBefore.Equal(x.NotBefore) || !c.NotAfter.Equal(x.NotAfter) {
		t.Errorf("validity %v to %v, crypto/x509 reads %v to %v", c.NotBefore, c.NotAfter, x.NotBefore, x.NotAfter)
	}
	if x.Version < 3 {
		return // crypto/x509 passes over extensions that should not be there
	}
	if c.IsCA != x.IsCA || c.KeyUsage != x.KeyUsage {
		t.Errorf("usages %v %b, crypto/x509 reads %v %b", c.IsCA, c.KeyUsage, x.IsCA, x.KeyUsage)
	}
	if len(c.ExtKeyUsage) != max(len(x.ExtKeyUsage)+len(x.UnknownExtKeyUsage), min(len(c.ExtKeyUsage), 1)) {
		t.Errorf("%d purposes, crypto/x509 reads %d and %d", len(c.ExtKeyUsage), len(x.ExtKeyUsage), len(x.UnknownExtKeyUsage))
	}
	rest := c.Addresses
	for _, a := range x.EmailAddresses {
		i := slices.Index(rest, a)
		if i < 0 {
			t.Fatalf("address %q is missing in %q", a, c.Addresses)
		}
		rest = rest[i+1:]
	}
}

// within reports whether part is a slice of whole, of which neither has had
// its capacity cut.
func within(whole, part []byte) bool {
	if len(part) == 0 {
		return true
	}
	at := cap(whole) - cap(part)
	return at >= 0 && at+len(part) <= len(whole) && &whole[at] == &part[0]
}

func TestParseRefuses(t *testing.T) {
	der := testkit.NewCA(t).For(t, "anna@example.org").Cert.Raw
	for i := range der {
		if _, err := certificate.Parse(der[:i:i]); !errors.Is(err, certificate.ErrMalformed) {
			t.Fatalf("cut at %d: %v", i, err)
		}
	}
	if _, err := certificate.Parse(append(der[:len(der):len(der)], 0)); !errors.Is(err, certificate.ErrMalformed) {
		t.Errorf("trailing byte: %v", err)
	}
	if _, err := certificate.Parse(make([]byte, certificate.MaxSize+1)); !errors.Is(err, certificate.ErrTooLarge) {
		t.Errorf("too large: %v", err)
	}
}
