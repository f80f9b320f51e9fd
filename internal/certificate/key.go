package certificate

import (
	"crypto"
	"crypto/ecdh"
	"crypto/elliptic"
	"crypto/rsa"
	encasn1 "encoding/asn1"
	"fmt"
	"math"
	"math/big"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// MaxRSABits is the largest modulus, in bits, that is calculated with. Larger
// ones are only named: one such key could keep a processor busy for seconds.
const MaxRSABits = 16384

// Algorithms of SubjectPublicKeyInfo, as ObjectIdentifier.String spells them.
const (
	oidRSA       = "1.2.840.113549.1.1.1"
	oidRSAOAEP   = "1.2.840.113549.1.1.7"
	oidRSAPSS    = "1.2.840.113549.1.1.10"
	oidEC        = "1.2.840.10045.2.1"
	oidECDH      = "1.3.132.1.12"
	oidX25519    = "1.3.101.110"
	oidEd25519   = "1.3.101.112"
	oidP256      = "1.2.840.10045.3.1.7"
	oidP384      = "1.3.132.0.34"
	oidP521      = "1.3.132.0.35"
	brainpoolArc = "1.3.36.3.3.2.8.1.1."
)

// keyName names algorithms and curves that cannot be sealed to.
func keyName(oid string) string {
	switch oid {
	case "1.3.101.111":
		return "X448"
	case "1.3.101.113":
		return "Ed448"
	case "1.2.840.10040.4.1":
		return "DSA"
	case "1.2.840.10046.2.1":
		return "Diffie-Hellman"
	case "1.2.156.10197.1.301":
		return "SM2"
	case "1.3.132.0.10":
		return "secp256k1"
	case "1.3.132.0.33":
		return "EC P-224"
	case "1.2.840.10045.3.1.1":
		return "EC P-192"
	case "1.2.643.7.1.1.1.1", "1.2.643.7.1.1.1.2", "1.2.643.2.2.19":
		return "GOST R 34.10"
	case "2.16.840.1.101.3.4.4.1":
		return "ML-KEM-512"
	case "2.16.840.1.101.3.4.4.2":
		return "ML-KEM-768"
	case "2.16.840.1.101.3.4.4.3":
		return "ML-KEM-1024"
	case brainpoolArc + "7":
		return "brainpoolP256r1"
	case brainpoolArc + "8":
		return "brainpoolP256t1"
	case brainpoolArc + "11":
		return "brainpoolP384r1"
	case brainpoolArc + "12":
		return "brainpoolP384t1"
	case brainpoolArc + "13":
		return "brainpoolP512r1"
	case brainpoolArc + "14":
		return "brainpoolP512t1"
	}
	return "unknown key algorithm " + oid
}

// readKey reads a SubjectPublicKeyInfo. What cannot be understood leaves
// PublicKey nil and a name that says why; that is no error, since the
// certificate can still be shown.
func (c *Certificate) readKey(spki cryptobyte.String) {
	c.KeyKind, c.KeyName = KeyOther, "unreadable key"
	var body, algorithm cryptobyte.String
	var bits encasn1.BitString
	if !spki.ReadASN1(&body, asn1.SEQUENCE) || !body.ReadASN1(&algorithm, asn1.SEQUENCE) ||
		!body.ReadASN1BitString(&bits) || bits.BitLength%8 != 0 {
		return
	}
	oid, ok := readOID(&algorithm)
	if !ok {
		return
	}
	switch key := bits.Bytes; oid.String() {
	case oidRSA:
		c.KeyKind = KeyRSA
		c.readRSA(key, "RSA")
	case oidRSAPSS:
		c.KeyKind = KeyRSAPSS
		c.readRSA(key, "RSA-PSS")
		c.PublicKey = nil // signing only
	case oidRSAOAEP:
		c.readRSA(key, "RSAES-OAEP")
		c.PublicKey = nil // not to be used with PKCS #1 v1.5, which nobody downstream could tell
	case oidEC, oidECDH:
		c.readEC(algorithm, key)
	case oidX25519:
		c.KeyKind, c.KeyName, c.KeyBits = KeyX25519, "X25519", 255
		c.PublicKey = ecdhKey(ecdh.X25519(), key)
	case oidEd25519:
		c.KeyKind, c.KeyName, c.KeyBits = KeyEd25519, "Ed25519", 255
	default:
		c.KeyName = keyName(oid.String())
	}
}

// readRSA reads an RSAPublicKey (RFC 8017 appendix A.1.1). The algorithm's
// parameters are not looked at: NULL and nothing mean the same.
func (c *Certificate) readRSA(key cryptobyte.String, name string) {
	c.KeyName = name + " (unreadable)"
	var pair, modulus, exponent cryptobyte.String
	if !key.ReadASN1(&pair, asn1.SEQUENCE) || !pair.ReadASN1Element(&modulus, asn1.INTEGER) ||
		!pair.ReadASN1Element(&exponent, asn1.INTEGER) {
		return
	}
	n, ok := readInteger(modulus)
	if !ok || n.Sign() <= 0 {
		return
	}
	c.KeyBits = n.BitLen()
	c.KeyName = fmt.Sprintf("%s %d", name, c.KeyBits)
	e, ok := readInteger(exponent)
	if !ok || !e.IsInt64() || e.Int64() < 3 || e.Int64() > math.MaxInt32 || e.Bit(0) == 0 ||
		n.Bit(0) == 0 || c.KeyBits > MaxRSABits {
		return
	}
	c.PublicKey = &rsa.PublicKey{N: n, E: int(e.Int64())}
}

// readEC reads an ECPoint (RFC 5480), compressed or not, on a named curve.
func (c *Certificate) readEC(parameters, point cryptobyte.String) {
	c.KeyName = "EC with explicit parameters"
	oid, ok := readOID(&parameters)
	if !ok {
		return
	}
	var curve ecdh.Curve
	var old elliptic.Curve
	switch oid.String() {
	case oidP256:
		c.KeyName, c.KeyBits, curve, old = "EC P-256", 256, ecdh.P256(), elliptic.P256()
	case oidP384:
		c.KeyName, c.KeyBits, curve, old = "EC P-384", 384, ecdh.P384(), elliptic.P384()
	case oidP521:
		c.KeyName, c.KeyBits, curve, old = "EC P-521", 521, ecdh.P521(), elliptic.P521()
	default:
		c.KeyName = keyName(oid.String())
		return
	}
	c.KeyKind = KeyEC
	if len(point) > 0 && (point[0] == 2 || point[0] == 3) {
		point = decompress(old, point)
	}
	c.PublicKey = ecdhKey(curve, point)
}

// decompress gives the uncompressed form of a compressed point, nil when it is
// none of the curve's.
func decompress(curve elliptic.Curve, point []byte) []byte {
	x, y := elliptic.UnmarshalCompressed(curve, point)
	if x == nil {
		return nil
	}
	size := (curve.Params().BitSize + 7) / 8
	return append(append([]byte{4}, fill(x, size)...), fill(y, size)...)
}

func fill(n *big.Int, size int) []byte { return n.FillBytes(make([]byte, size)) }

// ecdhKey gives an untyped nil for a point that is not on the curve.
func ecdhKey(curve ecdh.Curve, point []byte) crypto.PublicKey {
	key, err := curve.NewPublicKey(point)
	if err != nil {
		return nil
	}
	return key
}
