package certificate

import (
	"crypto/ecdh"
	"crypto/elliptic"
	"math/big"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// A curve is one that can be sealed to.
type curve struct {
	name string
	bits int
	ecdh ecdh.Curve
	old  elliptic.Curve
}

// curveNamed gives a curve by its object identifier (RFC 5480 section 2.1.1.1).
func curveNamed(oid string) (curve, bool) {
	switch oid {
	case oidP256:
		return curve{"EC P-256", 256, ecdh.P256(), elliptic.P256()}, true
	case oidP384:
		return curve{"EC P-384", 384, ecdh.P384(), elliptic.P384()}, true
	case oidP521:
		return curve{"EC P-521", 521, ecdh.P521(), elliptic.P521()}, true
	}
	return curve{}, false
}

// readCurve reads ECParameters: the name of a curve, or a curve spelled out,
// which counts when it is one of the named ones in every parameter. otherwise
// is what to call one that does not count.
func readCurve(parameters cryptobyte.String) (c curve, otherwise string, ok bool) {
	if parameters.PeekASN1Tag(asn1.SEQUENCE) {
		for _, oid := range []string{oidP256, oidP384, oidP521} {
			if c, _ = curveNamed(oid); isSpelledOut(parameters, c.old.Params()) {
				return c, "", true
			}
		}
		return curve{}, "EC with explicit parameters", false
	}
	oid, ok := readOID(&parameters)
	if !ok {
		return curve{}, "EC without parameters", false
	}
	c, ok = curveNamed(oid.String())
	return c, keyName(oid.String()), ok
}

// isSpelledOut compares SpecifiedECDomain (SEC 1 section C.2) with a curve: the
// field, both coefficients, the generator, its order and the cofactor. A
// generator of somebody's own choice would make the key another one.
func isSpelledOut(parameters cryptobyte.String, want *elliptic.CurveParams) bool {
	const primeField = "1.2.840.10045.1.1"
	var all, field, coefficients, a, b, base cryptobyte.String
	var version int64
	var p, n big.Int
	if !parameters.ReadASN1(&all, asn1.SEQUENCE) || !parameters.Empty() || !all.ReadASN1Integer(&version) ||
		!all.ReadASN1(&field, asn1.SEQUENCE) {
		return false
	}
	kind, ok := readOID(&field)
	if !ok || kind.String() != primeField || !field.ReadASN1Integer(&p) || !all.ReadASN1(&coefficients, asn1.SEQUENCE) ||
		!coefficients.ReadASN1(&a, asn1.OCTET_STRING) || !coefficients.ReadASN1(&b, asn1.OCTET_STRING) || // a seed may follow
		!all.ReadASN1(&base, asn1.OCTET_STRING) || !all.ReadASN1Integer(&n) {
		return false
	}
	cofactor := int64(1)
	if all.PeekASN1Tag(asn1.INTEGER) && !all.ReadASN1Integer(&cofactor) {
		return false
	}
	minus3 := new(big.Int).Sub(want.P, big.NewInt(3)) // the a of all named ones
	return p.Cmp(want.P) == 0 && equals(a, minus3) && equals(b, want.B) && isGenerator(base, want) && n.Cmp(want.N) == 0 && cofactor == 1
}

// equals compares a field element, which may stand without leading zeros.
func equals(octets []byte, want *big.Int) bool {
	return len(octets) <= 66 && new(big.Int).SetBytes(octets).Cmp(want) == 0
}

func isGenerator(point []byte, want *elliptic.CurveParams) bool {
	size := (want.BitSize + 7) / 8
	if len(point) == 1+size && (point[0] == 2 || point[0] == 3) {
		return uint(point[0]&1) == want.Gy.Bit(0) && equals(point[1:], want.Gx)
	}
	return len(point) == 1+2*size && point[0] == 4 && equals(point[1:1+size], want.Gx) && equals(point[1+size:], want.Gy)
}
