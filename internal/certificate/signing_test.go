package certificate_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"testing"

	"sealpost/internal/certificate"
	"sealpost/internal/testkit"
)

func TestSigningKey(t *testing.T) {
	ca := testkit.NewCA(t)
	for _, kind := range []string{"rsa2048", "p256", "p384", "p521", "ed25519", "x25519"} {
		id := ca.Issue(t, testkit.Leaf{Addresses: []string{"anna@example.org"}, Key: kind})
		c, err := certificate.Parse(id.Cert.Raw)
		if err != nil {
			t.Fatal(err)
		}
		same := c.SigningKey() == nil && kind == "x25519"
		switch key := c.SigningKey().(type) {
		case *rsa.PublicKey:
			same = key.Equal(id.Cert.PublicKey)
		case *ecdsa.PublicKey:
			same = key.Equal(id.Cert.PublicKey)
		case ed25519.PublicKey:
			same = key.Equal(id.Cert.PublicKey)
		}
		if !same {
			t.Errorf("%s: %v", kind, c.SigningKey())
		}
	}
}

// A key that is for RSASSA-PSS only is one that crypto/x509 does not give.
func TestSigningKeyPSS(t *testing.T) {
	key := testkit.Key(t, "rsa2048").(*rsa.PrivateKey)
	cert := testkit.Forged{Key: testkit.PSSKey(t, key)}.Sign(t, testkit.NewCA(t))
	c, err := certificate.Parse(cert)
	if err != nil {
		t.Fatal(err)
	}
	if k, ok := c.SigningKey().(*rsa.PublicKey); !ok || !k.Equal(&key.PublicKey) || c.PublicKey != nil {
		t.Errorf("%v, %v", c.SigningKey(), c.PublicKey)
	}
}
