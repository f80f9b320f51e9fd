// Package certificate reads X.509 certificates as leniently as people's
// certificates demand. Reading one is not trusting it: lookup does that.
package certificate

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"math/big"
	"time"
)

// KeyKind names the kind of a public key, as far as sealing is concerned.
type KeyKind string

// The kinds. Only RSA, EC and X25519 keys can be sealed to.
const (
	KeyRSA     KeyKind = "RSA"     // rsaEncryption; PublicKey is *rsa.PublicKey
	KeyEC      KeyKind = "EC"      // id-ecPublicKey or id-ecDH on P-256, P-384, P-521; PublicKey is *ecdh.PublicKey
	KeyX25519  KeyKind = "X25519"  // RFC 8410; PublicKey is *ecdh.PublicKey
	KeyRSAPSS  KeyKind = "RSA-PSS" // signing only
	KeyEd25519 KeyKind = "Ed25519" // signing only
	KeySigning KeyKind = "signing" // other keys that only sign: Ed448, DSA, ML-DSA, SLH-DSA
	KeyOther   KeyKind = "other"   // see Certificate.KeyName
)

// A Certificate is what could be read of one certificate. Raw fields are
// slices of Raw and keep the very bytes of the issuer.
type Certificate struct {
	Raw          []byte // the whole DER
	RawIssuer    []byte // DER of the issuer Name
	RawSubject   []byte // DER of the subject Name
	RawSerial    []byte // DER of the serial number: the INTEGER with tag and length, odd encodings kept
	RawPublicKey []byte // DER of SubjectPublicKeyInfo
	SubjectKeyID []byte // content of the extension; nil without it

	Serial              *big.Int
	Subject, Issuer     string // for people
	NotBefore, NotAfter time.Time
	Addresses           []string // rfc822Name and SmtpUTF8Mailbox of the SAN, in order, as they stand
	SubjectAddresses    []string // emailAddress attributes of the subject
	IsCA                bool
	HasKeyUsage         bool
	KeyUsage            x509.KeyUsage           // meaningful when HasKeyUsage
	ExtKeyUsage         []asn1.ObjectIdentifier // an empty OID stands for a purpose that cannot be read
	UnknownCritical     []asn1.ObjectIdentifier // critical extensions that are not understood (RFC 5280 section 4.2: such a certificate must not be used)
	Capabilities        []asn1.ObjectIdentifier // SMIMECapabilities (RFC 4262), in order of preference
	KeyKind             KeyKind
	KeyName             string // for people: "RSA 2048", "EC P-256", "brainpoolP256r1"
	KeyBits             int
	PublicKey           crypto.PublicKey // nil when the key cannot be sealed to
}

// X509 reads the certificate with crypto/x509, anew each time: the result takes
// twice the memory of the Certificate itself, and only chain building needs it.
// The error says why crypto/x509 refuses the certificate.
func (c *Certificate) X509() (*x509.Certificate, error) { return x509.ParseCertificate(c.Raw) }

// Fingerprint is the SHA-256 of the DER.
func (c *Certificate) Fingerprint() [32]byte { return sha256.Sum256(c.Raw) }
