package testkit

import "testing"

func TestIssueEveryKind(t *testing.T) {
	ca := NewCA(t)
	for _, kind := range []string{"rsa1024", "rsa2048", "p256", "p384", "p521", "x25519", "ed25519"} {
		id := ca.Issue(t, Leaf{Addresses: []string{"anna@example.org"}, Key: kind})
		if err := id.Cert.CheckSignatureFrom(ca.Cert); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
}
