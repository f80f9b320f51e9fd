package certificate_test

import (
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"math/big"
	"testing"

	"sealpost/internal/certificate"
	"sealpost/internal/testkit"
)

// A curve that is spelled out counts as the named one only when it is that in
// every parameter: with a generator of his own choice, somebody who knows no
// private key has one (CVE-2020-0601).
func TestSpelledCurves(t *testing.T) {
	ca := testkit.NewCA(t)
	for _, named := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		key := testkit.Key(t, map[int]string{256: "p256", 384: "p384", 521: "p521"}[named.Params().BitSize]).(*ecdsa.PrivateKey)
		want, err := key.PublicKey.ECDH()
		if err != nil {
			t.Fatal(err)
		}
		other := testkit.Key(t, map[int]string{256: "p256", 384: "p384", 521: "p521"}[named.Params().BitSize]).(*ecdsa.PrivateKey)
		elsewhere := func(c *testkit.SpelledCurve) { c.Gx, c.Gy = other.X, other.Y }
		plus := func(n *big.Int) *big.Int { return new(big.Int).Add(n, big.NewInt(2)) }
		for name, test := range map[string]struct {
			change func(*testkit.SpelledCurve)
			ok     bool
		}{
			"as it is":                {func(*testkit.SpelledCurve) {}, true},
			"compressed generator":    {func(c *testkit.SpelledCurve) { c.Compressed = true }, true},
			"no cofactor":             {func(c *testkit.SpelledCurve) { c.NoCofactor = true }, true},
			"with a seed":             {func(c *testkit.SpelledCurve) { c.Seed = []byte("seed") }, true},
			"a larger a":              {func(c *testkit.SpelledCurve) { c.A = plus(new(big.Int).Sub(c.A, big.NewInt(4))) }, false},
			"another b":               {func(c *testkit.SpelledCurve) { c.B = new(big.Int).Sub(c.B, big.NewInt(2)) }, false},
			"another field":           {func(c *testkit.SpelledCurve) { c.P = plus(c.P) }, false},
			"another order":           {func(c *testkit.SpelledCurve) { c.N = plus(c.N) }, false},
			"another generator":       {elsewhere, false},
			"another one, compressed": {func(c *testkit.SpelledCurve) { elsewhere(c); c.Compressed = true }, false},
			"the other y, compressed": {func(c *testkit.SpelledCurve) { c.Gy = new(big.Int).Sub(c.P, c.Gy); c.Compressed = true }, false},
		} {
			spelled := testkit.SpellCurve(named)
			test.change(&spelled)
			der := testkit.Forged{Key: testkit.SPKI(want.Bytes(), testkit.OID(t, 1, 2, 840, 10045, 2, 1), spelled.DER(t))}.Sign(t, ca)
			c, err := certificate.Parse(der)
			if err != nil {
				t.Fatal(err)
			}
			got, ok := c.PublicKey.(*ecdh.PublicKey)
			if ok != test.ok || ok && !got.Equal(want) || (c.KeyKind == certificate.KeyEC) != test.ok {
				t.Errorf("%v, %s: %s, %v", named.Params().Name, name, c.KeyName, c.PublicKey)
			}
			if test.ok != (c.SigningKey() != nil) {
				t.Errorf("%v, %s: signs: %v", named.Params().Name, name, c.SigningKey() != nil)
			}
		}
	}
}

// A key that is for key agreement alone does not sign.
func TestECDHKeysDoNotSign(t *testing.T) {
	key := testkit.Key(t, "p256").(*ecdsa.PrivateKey)
	point, err := key.PublicKey.ECDH()
	if err != nil {
		t.Fatal(err)
	}
	for arcs, signs := range map[string]bool{"id-ecPublicKey": true, "id-ecDH": false} {
		algorithm := testkit.OID(t, 1, 3, 132, 1, 12)
		if signs {
			algorithm = testkit.OID(t, 1, 2, 840, 10045, 2, 1)
		}
		der := testkit.Forged{Key: testkit.SPKI(point.Bytes(), algorithm, testkit.OID(t, 1, 2, 840, 10045, 3, 1, 7))}.Sign(t, testkit.NewCA(t))
		c, err := certificate.Parse(der)
		if err != nil {
			t.Fatal(err)
		}
		if (c.SigningKey() != nil) != signs || c.PublicKey == nil {
			t.Errorf("%s: signs: %v", arcs, c.SigningKey() != nil)
		}
	}
}
