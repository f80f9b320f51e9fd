package lookup

import (
	"context"
	"crypto/x509"
	"testing"

	"sealpost/internal/address"
	"sealpost/internal/certificate"
	"sealpost/internal/reason"
	"sealpost/internal/testkit"
)

// oneCertificate is a source that has it for everybody.
type oneCertificate []byte

func (der oneCertificate) Lookup(context.Context, address.Address) Answer {
	c, err := certificate.Parse(der)
	if err != nil {
		return failed(reason.LookupUnavailable, err)
	}
	return Answer{Outcome: Found, Candidates: []Candidate{{Cert: c}}}
}

// TestPurpose: who may sign is not who may be encrypted to.
func TestPurpose(t *testing.T) {
	ca := testkit.NewCA(t)
	addr, err := address.Parse("anna@example.org")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		key           string
		usage         x509.KeyUsage
		ext           []x509.ExtKeyUsage
		sign, encrypt reason.Token
	}{
		{"rsa2048", x509.KeyUsageDigitalSignature, nil, reason.None, reason.CertificateUsage},
		{"rsa2048", x509.KeyUsageContentCommitment, nil, reason.None, reason.CertificateUsage},
		{"rsa2048", x509.KeyUsageKeyEncipherment, nil, reason.CertificateUsage, reason.None},
		{"p256", x509.KeyUsageKeyAgreement, nil, reason.CertificateUsage, reason.None},
		{"ed25519", x509.KeyUsageDigitalSignature, nil, reason.None, reason.CertificateKeyKind},
		{"x25519", x509.KeyUsageKeyAgreement, nil, reason.CertificateKeyKind, reason.None},
		{"rsa2048", 0, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, reason.CertificateUsage, reason.CertificateUsage},
		{"rsa2048", 0, []x509.ExtKeyUsage{x509.ExtKeyUsageAny}, reason.None, reason.None},
	} {
		id := ca.Issue(t, testkit.Leaf{Addresses: []string{"anna@example.org"}, Key: test.key, Usage: test.usage, ExtUsage: test.ext})
		for purpose, want := range map[Purpose]reason.Token{Sign: test.sign, Encrypt: test.encrypt} {
			trusted, err := NewTrusted(oneCertificate(id.Cert.Raw), TrustOptions{Purpose: purpose, Roots: []*x509.Certificate{ca.Cert}})
			if err != nil {
				t.Fatal(err)
			}
			if got := trusted.Lookup(t.Context(), addr).Candidates[0]; got.Reason != want {
				t.Errorf("%s %b %v for %v: %q (%s), want %q", test.key, test.usage, test.ext, purpose, got.Reason, got.Why, want)
			}
		}
	}
}
