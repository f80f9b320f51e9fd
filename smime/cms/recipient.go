package cms

import (
	"crypto/ecdh"
	"crypto/rsa"
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	asn1tag "golang.org/x/crypto/cryptobyte/asn1"

	"sealpost/internal/certificate"
)

// KeyOptions says how content-encryption keys are protected. The zero value is
// what most readers understand.
type KeyOptions struct {
	OAEP bool // RSA: OAEP with SHA-256 and MGF1 with SHA-256 instead of PKCS#1 v1.5
	KDF  KDF  // P-256, P-384 and P-521; X25519 always takes HKDF with SHA-256
}

// A Recipient is the key of one certificate, ready to protect content-encryption
// keys. It is immutable and may be kept and shared.
type Recipient struct {
	rid []byte // IssuerAndSerialNumber
	key keyProtector
}

// A keyProtector makes RecipientInfos.
type keyProtector interface {
	recipientInfo(rid, cek []byte) ([]byte, error)
	version() int
}

// Sizes of RSA keys that can be encrypted to, in bits. The upper limit bounds
// what a hostile certificate can cost.
const (
	MinRSABits = 1024
	MaxRSABits = 16384
)

// NewRecipient prepares a certificate's key. The error is a *KeyError when the
// key is of a kind that cannot be encrypted to, or weak. Whether the certificate
// is valid or trusted is not looked at.
func NewRecipient(cert *certificate.Certificate, opts KeyOptions) (Recipient, error) {
	rid, err := issuerAndSerial(cert)
	if err != nil {
		return Recipient{}, err
	}
	if opts.KDF < KDFSHA1 || opts.KDF > KDFSHA512 {
		return Recipient{}, fmt.Errorf("cms: unknown key derivation %v", opts.KDF)
	}
	name := cert.KeyName
	if name == "" {
		name = string(cert.KeyKind)
	}
	switch key := cert.PublicKey.(type) {
	case *rsa.PublicKey:
		if problem := rsaProblem(key); problem != "" {
			return Recipient{}, &KeyError{name, problem}
		}
		return Recipient{rid, transport{key, opts.OAEP}}, nil
	case *ecdh.PublicKey:
		if key.Curve() == ecdh.X25519() {
			return Recipient{rid, agreement{key, schemes[schemeHKDF]}}, nil
		}
		return Recipient{rid, agreement{key, schemes[opts.KDF]}}, nil
	case nil:
		return Recipient{}, &KeyError{name, "a key of this kind cannot be encrypted to"}
	default:
		return Recipient{}, &KeyError{name, fmt.Sprintf("unexpected key type %T", key)}
	}
}

// rsaProblem says why a key must not be used, or "".
func rsaProblem(key *rsa.PublicKey) string {
	bits := key.N.BitLen()
	switch {
	case bits < MinRSABits:
		return fmt.Sprintf("%d bits are too few, %d is the least", bits, MinRSABits)
	case bits > MaxRSABits:
		return fmt.Sprintf("%d bits are too many, %d is the most", bits, MaxRSABits)
	case key.E < 3 || key.E%2 == 0 || key.E > 1<<31-1:
		return fmt.Sprintf("unusual public exponent %d", key.E)
	case key.N.Sign() <= 0 || key.N.Bit(0) == 0:
		return "the modulus is not a product of two odd primes"
	}
	return ""
}

// issuerAndSerial is the IssuerAndSerialNumber of a certificate, made of the
// very bytes of the certificate: readers compare bytes.
func issuerAndSerial(cert *certificate.Certificate) ([]byte, error) {
	issuer, serial := cryptobyte.String(cert.RawIssuer), cryptobyte.String(cert.RawSerial)
	if !issuer.SkipASN1(asn1tag.SEQUENCE) || !issuer.Empty() || !serial.SkipASN1(asn1tag.INTEGER) || !serial.Empty() {
		return nil, errors.New("cms: certificate without issuer or serial number")
	}
	var b cryptobyte.Builder
	b.AddASN1(asn1tag.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(cert.RawIssuer)
		b.AddBytes(cert.RawSerial)
	})
	return b.Bytes()
}

// recipientInfos protects cek for each recipient. It gives the SET OF and the
// version that EnvelopedData takes with it (RFC 5652, 6.1).
func recipientInfos(cek []byte, to []Recipient) (set []byte, version byte, err error) {
	if len(to) == 0 {
		return nil, 0, errors.New("cms: no recipient")
	}
	infos := make([][]byte, len(to))
	for i, r := range to {
		if r.key == nil {
			return nil, 0, errors.New("cms: empty recipient")
		}
		if infos[i], err = r.key.recipientInfo(r.rid, cek); err != nil {
			return nil, 0, fmt.Errorf("cms: protecting the key for recipient %d: %w", i+1, err)
		}
		if r.key.version() != 0 {
			version = 2
		}
	}
	return setOf(infos), version, nil
}
