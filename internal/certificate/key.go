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
	"strconv"
	"strings"

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

// signingOnly names the algorithms, beside RSA-PSS and Ed25519, whose keys sign
// and do nothing else; "" for others.
func signingOnly(oid string) string {
	switch oid {
	case "1.3.101.113":
		return "Ed448"
	case "1.2.840.10040.4.1":
		return "DSA"
	case "2.16.840.1.101.3.4.3.17":
		return "ML-DSA-44"
	case "2.16.840.1.101.3.4.3.18":
		return "ML-DSA-65"
	case "2.16.840.1.101.3.4.3.19":
		return "ML-DSA-87"
	}
	if n, err := strconv.Atoi(strings.TrimPrefix(oid, "2.16.840.1.101.3.4.3.")); err == nil && n >= 20 && n <= 31 {
		return "SLH-DSA"
	}
	return ""
}

// keyName names algorithms and curves that cannot be sealed to.
func keyName(oid string) string {
	switch oid {
	case "1.3.101.111":
		return "X448"
	case "1.2.840.10046.2.1":
		return "Diffie-Hellman"
	case "1.3.132.1.13":
		return "EC for MQV"
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
	}
	if n, ok := strings.CutPrefix(oid, brainpoolArc); ok {
		return brainpoolName(n)
	}
	return "unknown key algorithm " + oid
}

// brainpoolName names the curves of RFC 5639 by the last arc of their
// identifier.
func brainpoolName(arc string) string {
	names := []string{"160r1", "160t1", "192r1", "192t1", "224r1", "224t1", "256r1", "256t1", "320r1", "320t1", "384r1", "384t1", "512r1", "512t1"}
	if n, err := strconv.Atoi(arc); err == nil && n >= 1 && n <= len(names) {
		return "brainpoolP" + names[n-1]
	}
	return "unknown brainpool curve " + arc
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
		if c.KeyName = signingOnly(oid.String()); c.KeyName != "" {
			c.KeyKind = KeySigning
			return
		}
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

// readEC reads an ECPoint (RFC 5480), compressed or not.
func (c *Certificate) readEC(parameters, point cryptobyte.String) {
	on, otherwise, ok := readCurve(parameters)
	if !ok {
		c.KeyName = otherwise
		return
	}
	c.KeyKind, c.KeyName, c.KeyBits = KeyEC, on.name, on.bits
	if len(point) > 0 && (point[0] == 2 || point[0] == 3) {
		point = decompress(on.old, point)
	}
	c.PublicKey = ecdhKey(on.ecdh, point)
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
