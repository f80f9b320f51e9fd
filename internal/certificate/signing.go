package certificate

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	encasn1 "encoding/asn1"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// SigningKey is the key in the form that verifies signatures: *rsa.PublicKey,
// *ecdsa.PublicKey (P-256, P-384, P-521) or ed25519.PublicKey; nil when the key
// cannot sign, is damaged or is none that is known. Whether the certificate
// allows signing is another question.
func (c *Certificate) SigningKey() crypto.PublicKey {
	switch key := c.PublicKey.(type) {
	case *rsa.PublicKey:
		return key
	case *ecdh.PublicKey:
		if c.agreesOnly() {
			return nil
		}
		return ecdsaKey(key)
	}
	s := cryptobyte.String(c.RawPublicKey)
	var spki cryptobyte.String
	var bits encasn1.BitString
	if !s.ReadASN1(&spki, asn1.SEQUENCE) || !spki.SkipASN1(asn1.SEQUENCE) || !spki.ReadASN1BitString(&bits) {
		return nil
	}
	switch c.KeyKind {
	case KeyEd25519:
		if len(bits.Bytes) == ed25519.PublicKeySize {
			return ed25519.PublicKey(bits.Bytes)
		}
	case KeyRSAPSS:
		var reader Certificate
		if reader.readRSA(bits.Bytes, ""); reader.PublicKey != nil {
			return reader.PublicKey
		}
	}
	return nil
}

// agreesOnly reports an elliptic curve key that is for key agreement and nothing
// else (RFC 5480 section 2.1.2).
func (c *Certificate) agreesOnly() bool {
	s := cryptobyte.String(c.RawPublicKey)
	var spki, algorithm cryptobyte.String
	if !s.ReadASN1(&spki, asn1.SEQUENCE) || !spki.ReadASN1(&algorithm, asn1.SEQUENCE) {
		return false
	}
	oid, ok := readOID(&algorithm)
	return ok && oid.String() == oidECDH
}

func ecdsaKey(key *ecdh.PublicKey) crypto.PublicKey {
	var curve elliptic.Curve
	switch key.Curve() {
	case ecdh.P256():
		curve = elliptic.P256()
	case ecdh.P384():
		curve = elliptic.P384()
	case ecdh.P521():
		curve = elliptic.P521()
	default:
		return nil
	}
	k, err := ecdsa.ParseUncompressedPublicKey(curve, key.Bytes())
	if err != nil {
		return nil
	}
	return k
}
