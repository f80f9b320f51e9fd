package ca

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"io"
	"math/big"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"sealpost/internal/address"
)

// backdate is how far before its issue a certificate begins, for recipients
// whose clocks are late.
const backdate = time.Hour

// A Request is for one certificate.
type Request struct {
	Address   address.Address
	PublicKey crypto.PublicKey // *rsa.PublicKey or *ecdsa.PublicKey
	Lifetime  time.Duration    // default: that of the options
}

var (
	oidSAN          = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidEmailAddress = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}
	oidSmtpUTF8     = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 8, 9}
	// policyMailbox is "mailbox-validated, strict" of the S/MIME baseline
	// requirements (section 7.1.6.1): control over the mailbox, and nothing else.
	policyMailbox = mustOID(2, 23, 140, 1, 5, 1, 3)
	anyPolicy     = mustOID(2, 5, 29, 32, 0)
)

func mustOID(arcs ...uint64) x509.OID {
	oid, err := x509.OIDFromInts(arcs)
	if err != nil {
		panic(err) // a constant of ours
	}
	return oid
}

// Issue makes a certificate and gives its DER. The serial number has 126 random
// bits. Nothing is stored. A certificate never outlives its issuer.
//
// Errors: ErrExpired, ErrKey, ErrAddress, or trouble of a signer elsewhere.
func (a *Authority) Issue(r Request) ([]byte, error) {
	now := a.opts.Clock().UTC().Truncate(time.Second)
	if err := a.valid(now); err != nil {
		return nil, err
	}
	usage, err := keyUsage(r.PublicKey)
	if err != nil {
		return nil, err
	}
	lifetime := r.Lifetime
	if lifetime <= 0 {
		lifetime = a.opts.Lifetime
	}
	serial, err := newSerial(a.opts.Rand)
	if err != nil {
		return nil, err
	}
	id, err := keyID(r.PublicKey)
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{
		SerialNumber: serial, NotBefore: latest(now.Add(-backdate), a.issuer.NotBefore), NotAfter: earliest(now.Add(lifetime), a.issuer.NotAfter),
		KeyUsage: usage, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection},
		BasicConstraintsValid: true, SubjectKeyId: id, Policies: []x509.OID{policyMailbox},
	}
	if err := name(t, r.Address); err != nil {
		return nil, err
	}
	if a.opts.URL != "" {
		t.CRLDistributionPoints = []string{a.opts.URL + PathCRL}
		t.OCSPServer = []string{a.opts.URL + PathOCSP}
		t.IssuingCertificateURL = []string{a.opts.URL + PathIssuer}
	}
	return x509.CreateCertificate(a.opts.Rand, t, a.issuer, r.PublicKey, a.signer)
}

// keyUsage says what a key is for, or ErrKey.
func keyUsage(key crypto.PublicKey) (x509.KeyUsage, error) {
	switch k := key.(type) {
	case *rsa.PublicKey:
		if k.N.BitLen() >= 2048 && k.N.BitLen() <= 8192 {
			return x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment, nil
		}
	case *ecdsa.PublicKey:
		if k.Curve == elliptic.P256() || k.Curve == elliptic.P384() || k.Curve == elliptic.P521() {
			return x509.KeyUsageDigitalSignature | x509.KeyUsageKeyAgreement, nil
		}
	}
	return 0, ErrKey
}

// Upper bounds of RFC 5280 appendix A, in characters.
const (
	maxCommonName   = 64
	maxEmailAddress = 255
)

// name puts the address into subject and subjectAltName.
func name(t *x509.Certificate, a address.Address) error {
	if a.IsNull() || a.IsLiteral() {
		return fmt.Errorf("%w: %q", ErrAddress, a.String())
	}
	mailbox := a.Key()
	if a.NeedsUTF8() && !ascii(mailbox) {
		value, err := smtpUTF8Name(mailbox)
		if err != nil {
			return err
		}
		t.ExtraExtensions = []pkix.Extension{{Id: oidSAN, Value: value}}
	} else {
		t.EmailAddresses = []string{mailbox}
	}
	switch {
	case len([]rune(mailbox)) <= maxCommonName:
		t.Subject.CommonName = mailbox
	case len(mailbox) <= maxEmailAddress && t.EmailAddresses != nil:
		t.Subject.ExtraNames = []pkix.AttributeTypeAndValue{
			{Type: oidEmailAddress, Value: asn1.RawValue{Tag: asn1.TagIA5String, Bytes: []byte(mailbox)}}}
	default: // some name: without one the SAN would be critical, and not everybody reads each form of it
		t.Subject.SerialNumber = hex.EncodeToString(t.SubjectKeyId)
	}
	return nil
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// smtpUTF8Name is a subjectAltName with one SmtpUTF8Mailbox (RFC 9598), whose
// domain has A-labels.
func smtpUTF8Name(mailbox string) ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(oidSmtpUTF8)
			b.AddASN1(cbasn1.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
				b.AddASN1(cbasn1.UTF8String, func(b *cryptobyte.Builder) { b.AddBytes([]byte(mailbox)) })
			})
		})
	})
	return b.Bytes()
}

// newSerial gives a positive number of 16 bytes (RFC 5280 section 4.1.2.2).
func newSerial(random io.Reader) (*big.Int, error) {
	var b [16]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return nil, err
	}
	b[0] = b[0]&0x7f | 0x40 // the same length for all of them
	return new(big.Int).SetBytes(b[:]), nil
}

// keyID is a subjectKeyIdentifier (RFC 7093 section 2, method 1).
func keyID(key crypto.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, err
	}
	bits, err := keyBits(der)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(bits)
	return sum[:20], nil
}

// keyBits is the content of the BIT STRING of a SubjectPublicKeyInfo.
func keyBits(spki []byte) ([]byte, error) {
	var info struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	_, err := asn1.Unmarshal(spki, &info)
	return info.Key.Bytes, err
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earliest(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
