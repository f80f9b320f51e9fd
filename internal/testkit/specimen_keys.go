package testkit

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"math/big"

	"sealpost/internal/reason"
)

func (c *cabinet) keys() {
	const unverified = reason.CertificateUnverified
	for _, kind := range []struct{ key, name, rfc string }{
		{"rsa2048", "RSA 2048", "RFC 8551 section 2.3"}, {"rsa3072", "RSA 3072", "RFC 8551 section 2.3"}, {"rsa4096", "RSA 4096", "RFC 8551 section 2.3"},
		{"p256", "EC P-256", "RFC 5753"}, {"p384", "EC P-384", "RFC 5753"}, {"p521", "EC P-521", "RFC 5753"}, {"x25519", "X25519", "RFC 8410, RFC 8418"},
	} {
		c.put(kind.name, kind.rfc, reason.None, c.leaf(Leaf{Key: kind.key}))
	}
	c.all[len(c.all)-1].Unread = "OpenSSL 3.0 does not know RFC 8418"
	c.put("RSA 1024", "", reason.CertificateWeakKey, c.leaf(Leaf{Key: "rsa1024"}))
	c.rsaKeys()
	c.put("EC P-256, id-ecDH", "RFC 5480 section 2.1.2", reason.None, c.curve(func(_ *ecdsa.PrivateKey, point []byte) []byte {
		return SPKI(point, OID(c, 1, 3, 132, 1, 12), OID(c, 1, 2, 840, 10045, 3, 1, 7))
	}))
	ecPublic := OID(c, 1, 2, 840, 10045, 2, 1)
	c.differ("EC P-256, compressed point", "RFC 5480 section 2.2", unverified, reason.None, c.curve(func(key *ecdsa.PrivateKey, _ []byte) []byte {
		return SPKI(elliptic.MarshalCompressed(elliptic.P256(), key.X, key.Y), ecPublic, OID(c, 1, 2, 840, 10045, 3, 1, 7))
	}))
	spelled := func(change func(*SpelledCurve)) made {
		return c.curve(func(_ *ecdsa.PrivateKey, point []byte) []byte {
			s := SpellCurve(elliptic.P256())
			change(&s)
			return SPKI(point, ecPublic, s.DER(c))
		})
	}
	c.differ("EC P-256, all parameters spelled out", "SEC 1 section C.2", unverified, reason.None, spelled(func(*SpelledCurve) {}))
	c.put("EC P-256 spelled out, with another generator", "CVE-2020-0601", reason.CertificateKeyKind, spelled(func(s *SpelledCurve) {
		s.Gy = new(big.Int).Sub(s.P, s.Gy)
	}))
	c.put("EC P-256, point that is not on the curve", "RFC 5480 section 2.2", reason.CertificateKeyKind, c.curve(func(_ *ecdsa.PrivateKey, point []byte) []byte {
		return SPKI(append([]byte{4}, make([]byte, len(point)-1)...), ecPublic, OID(c, 1, 2, 840, 10045, 3, 1, 7))
	}))
	c.foreignKeys()
}

func (c *cabinet) rsaKeys() {
	key := Key(c, "rsa2048").(*rsa.PrivateKey)
	pkcs1 := x509.MarshalPKCS1PublicKey(&key.PublicKey)
	rsaOID := func(n int) []byte { return OID(c, 1, 2, 840, 113549, 1, 1, n) }
	c.differ("RSA without NULL parameters", "RFC 3279 section 2.3.1", reason.CertificateUnverified, reason.None,
		c.forgedFor(Forged{Key: SPKI(pkcs1, rsaOID(1))}, key))
	c.put("RSASSA-PSS key", "RFC 4055 section 1.2", reason.CertificateKeyKind, c.forged(Forged{Key: PSSKey(c, key)}))
	c.put("RSAES-OAEP key", "RFC 4055 section 4", reason.CertificateKeyKind, c.forged(Forged{Key: SPKI(pkcs1, rsaOID(7))}))
	odd := &rsa.PublicKey{N: new(big.Int).Lsh(key.N, 1), E: key.E}
	c.put("RSA with an even modulus", "RFC 8017 section 3.1", reason.CertificateKeyKind, c.forged(Forged{
		Key: SPKI(x509.MarshalPKCS1PublicKey(odd), rsaOID(1), []byte{5, 0}),
	}))
	one := TLV(0x30, marshal(c, key.N), TLV(0x02, []byte{1}))
	c.put("RSA with exponent 1", "RFC 8017 section 3.1", reason.CertificateKeyKind, c.forged(Forged{Key: SPKI(one, rsaOID(1), []byte{5, 0})}))
	huge := new(big.Int).SetBit(big.NewInt(1), 40000, 1)
	c.put("RSA 40001", "", reason.CertificateKeyKind, c.forged(Forged{
		Key: SPKI(TLV(0x30, marshal(c, huge), marshal(c, 65537)), rsaOID(1), []byte{5, 0}),
	}))
	c.put("RSA that is garbage", "RFC 8017 appendix A.1.1", reason.CertificateKeyKind, c.forged(Forged{Key: SPKI([]byte("garbage"), rsaOID(1), []byte{5, 0})}))
}

// foreignKeys are of kinds that messages cannot be sealed to.
func (c *cabinet) foreignKeys() {
	const no = reason.CertificateKeyKind
	ext := "subjectAltName=email:" + specimenAddress
	for _, k := range []struct{ name, genpkey, rfc string }{
		{"Ed25519", "-algorithm ED25519", "RFC 8410"},
		{"Ed448", "-algorithm ED448", "RFC 8410"},
		{"X448", "-algorithm X448", "RFC 8418"},
		{"RSASSA-PSS key, made by OpenSSL", "-algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048", "RFC 4055 section 1.2"},
		{"brainpoolP256r1", "-algorithm EC -pkeyopt ec_paramgen_curve:brainpoolP256r1", "RFC 5639"},
		{"brainpoolP384r1", "-algorithm EC -pkeyopt ec_paramgen_curve:brainpoolP384r1", "RFC 5639"},
		{"brainpoolP512t1", "-algorithm EC -pkeyopt ec_paramgen_curve:brainpoolP512t1", "RFC 5639"},
		{"secp256k1", "-algorithm EC -pkeyopt ec_paramgen_curve:secp256k1", "SEC 2"},
		{"EC P-224", "-algorithm EC -pkeyopt ec_paramgen_curve:secp224r1", "RFC 5480"},
		{"SM2", "-algorithm EC -pkeyopt ec_paramgen_curve:SM2", "GB/T 32918"},
		{"brainpoolP256r1 spelled out", "-algorithm EC -pkeyopt ec_paramgen_curve:brainpoolP256r1 -pkeyopt ec_param_enc:explicit", "RFC 5639"},
	} {
		c.put(k.name, k.rfc, no, c.openSSL(k.genpkey, ext))
	}
	c.differ("EC P-384 spelled out, made by OpenSSL", "SEC 1 section C.2", reason.CertificateUnverified, reason.None,
		c.openSSL("-algorithm EC -pkeyopt ec_paramgen_curve:secp384r1 -pkeyopt ec_param_enc:explicit", ext))
	for _, k := range []struct {
		name, rfc string
		size      int
		arcs      []int
	}{
		{"ML-KEM-768", "RFC 9935", 1184, []int{2, 16, 840, 1, 101, 3, 4, 4, 2}},
		{"ML-DSA-65", "RFC 9881", 1952, []int{2, 16, 840, 1, 101, 3, 4, 3, 18}},
		{"SLH-DSA", "RFC 9909", 32, []int{2, 16, 840, 1, 101, 3, 4, 3, 20}},
		{"DSA", "RFC 3279 section 2.3.2", 128, []int{1, 2, 840, 10040, 4, 1}},
		{"GOST R 34.10-2012", "RFC 9215", 66, []int{1, 2, 643, 7, 1, 1, 1, 1}},
		{"an algorithm that nobody knows", "", 32, []int{1, 2, 3, 4}},
	} {
		c.put(k.name, k.rfc, no, c.forged(Forged{Key: SPKI(make([]byte, k.size), OID(c, k.arcs...))}))
	}
}
