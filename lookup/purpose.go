package lookup

import (
	"crypto/x509"

	"sealpost/internal/certificate"
	"sealpost/internal/reason"
)

// A Purpose is what a certificate shall be used for.
type Purpose int

// The purposes. Whoever reads signed mail judges those who signed it by the same
// rules as those who are written to.
const (
	Encrypt Purpose = iota
	Sign
)

// String is the word for people.
func (p Purpose) String() string {
	if p == Sign {
		return "signing"
	}
	return "encryption"
}

// signingUsage are the key usages that allow signing mail (RFC 8550 section
// 4.4.2); the second is also called nonRepudiation.
const signingUsage = x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment

func checkSigningKey(c *certificate.Certificate) *refusal {
	if c.SigningKey() == nil {
		return refuse(reason.CertificateKeyKind, "has a key (%s) whose signatures cannot be verified", c.KeyName)
	}
	return nil
}
