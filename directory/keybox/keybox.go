// Package keybox carries a private key from the directory to the page that
// reads mail in the browser. The page makes a key pair that lives as long as
// itself, and gets its key sealed to that (HPKE, RFC 9180): no passphrase
// travels, and no proxy that ends TLS on the way can read what passes.
package keybox

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/hpke"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"

	"sealpost/internal/certificate"
)

// The call that gives a key box, made by the page in a claimed session:
//
//	POST /claim/key
//	Content-Type: application/x-www-form-urlencoded
//
//	csrf=…&public=…
//
// The public key is in base64url without padding. The answer with status 200 is
// the box itself, of the type Type.
const (
	Path        = "/claim/key"
	FieldPublic = "public"
	FieldCSRF   = "csrf"
	Type        = "application/octet-stream"
)

// PublicSize is the length of the page's public key in bytes, and MaxSize bounds
// a box.
const (
	PublicSize = 32
	MaxSize    = 64 << 10
)

const info = "sealpost key box 1" // a box is opened only as what it was sealed for

var (
	// ErrPublic says that a public key is none.
	ErrPublic = errors.New("keybox: not an X25519 public key")

	// ErrBox says that a box is damaged, or sealed to another key.
	ErrBox = errors.New("keybox: the box does not open")
)

func suite() (hpke.KEM, hpke.KDF, hpke.AEAD) {
	return hpke.DHKEM(ecdh.X25519()), hpke.HKDFSHA256(), hpke.AES256GCM()
}

// ParsePublic reads the form field.
func ParsePublic(field string) ([]byte, error) {
	public, err := base64.RawURLEncoding.DecodeString(field)
	if err != nil || len(public) != PublicSize {
		return nil, ErrPublic
	}
	return public, nil
}

// Seal puts a private key (PKCS#8) and its certificate (DER), with what else is
// of its chain, into a box that only the holder of the public key opens. The
// error is ErrPublic.
func Seal(public, key []byte, chain ...[]byte) ([]byte, error) {
	kem, kdf, aead := suite()
	to, err := kem.NewPublicKey(public)
	if err != nil {
		return nil, ErrPublic
	}
	content := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})
	defer func() { clear(content) }()
	for _, cert := range chain {
		content = append(content, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})...)
	}
	box, err := hpke.Seal(to, kdf, aead, []byte(info), content)
	if err != nil {
		return nil, ErrPublic // a point that agrees with everybody on the same secret
	}
	return box, nil
}

// An Opener opens the boxes that are sealed to its public key.
type Opener struct{ key hpke.PrivateKey }

// NewOpener makes a key pair.
func NewOpener() (*Opener, error) {
	kem, _, _ := suite()
	key, err := kem.GenerateKey()
	if err != nil {
		return nil, err
	}
	return &Opener{key}, nil
}

// Public is the public key as the form field has it.
func (o *Opener) Public() string {
	return base64.RawURLEncoding.EncodeToString(o.key.PublicKey().Bytes())
}

// Open gives the key and its certificate. The error is ErrBox.
func (o *Opener) Open(box []byte) (crypto.PrivateKey, *certificate.Certificate, error) {
	_, kdf, aead := suite()
	content, err := hpke.Open(o.key, kdf, aead, []byte(info), box)
	if err != nil {
		return nil, nil, ErrBox
	}
	defer clear(content)
	first, rest := pem.Decode(content)
	second, _ := pem.Decode(bytes.TrimSpace(rest))
	if first == nil || second == nil {
		return nil, nil, ErrBox
	}
	key, err := x509.ParsePKCS8PrivateKey(first.Bytes)
	if err != nil {
		return nil, nil, ErrBox // what is wrong with a key is told to nobody
	}
	cert, err := certificate.Parse(second.Bytes)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrBox, err)
	}
	return key, cert, nil
}
