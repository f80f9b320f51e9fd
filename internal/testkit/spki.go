package testkit

import (
	"crypto/elliptic"
	"crypto/x509"
	"math/big"
	"testing"
)

// SPKI is the DER of a SubjectPublicKeyInfo: the parts of its algorithm, and
// the key.
func SPKI(key []byte, algorithm ...[]byte) []byte {
	return TLV(0x30, TLV(0x30, algorithm...), TLV(0x03, []byte{0}, key))
}

// A SpelledCurve is a curve with all its parameters, as SpecifiedECDomain (SEC 1
// section C.2) has them.
type SpelledCurve struct {
	P, A, B, Gx, Gy, N *big.Int
	Size               int // of a field element, in octets
	Compressed         bool
	NoCofactor         bool
	Seed               []byte
}

// SpellCurve spells out a named curve.
func SpellCurve(curve elliptic.Curve) SpelledCurve {
	c := curve.Params()
	return SpelledCurve{
		P: c.P, A: new(big.Int).Sub(c.P, big.NewInt(3)), B: c.B, Gx: c.Gx, Gy: c.Gy, N: c.N, Size: (c.BitSize + 7) / 8,
	}
}

// DER gives its encoding.
func (c SpelledCurve) DER(t testing.TB) []byte {
	t.Helper()
	octets := func(n *big.Int) []byte { return n.FillBytes(make([]byte, c.Size)) }
	base := append(append([]byte{4}, octets(c.Gx)...), octets(c.Gy)...)
	if c.Compressed {
		base = append([]byte{2 + byte(c.Gy.Bit(0))}, octets(c.Gx)...)
	}
	coefficients := [][]byte{TLV(0x04, octets(c.A)), TLV(0x04, octets(c.B))}
	if c.Seed != nil {
		coefficients = append(coefficients, TLV(0x03, []byte{0}, c.Seed))
	}
	cofactor := marshal(t, 1)
	if c.NoCofactor {
		cofactor = nil
	}
	return TLV(0x30, marshal(t, 1), TLV(0x30, OID(t, 1, 2, 840, 10045, 1, 1), marshal(t, c.P)),
		TLV(0x30, coefficients...), TLV(0x04, base), marshal(t, c.N), cofactor)
}

// publicDER is the DER of an ordinary SubjectPublicKeyInfo.
func publicDER(t testing.TB, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(public(key))
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// privatePEM is a private key as PKCS #8 in PEM.
func privatePEM(t testing.TB, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pemBlock("PRIVATE KEY", der)
}
