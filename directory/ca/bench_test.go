package ca_test

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"testing"

	"software.sslmate.com/src/go-pkcs12"

	"sealpost/directory/ca"
)

// families are the kinds of keys, for authority and people alike.
var families = map[string]string{"rsa-2048": "rsa", "p-256": "p-256"}

// BenchmarkKey makes keys without a pool.
func BenchmarkKey(b *testing.B) {
	for family, kind := range families {
		b.Run(family, func(b *testing.B) {
			for b.Loop() {
				key(b, kind)
			}
		})
	}
}

// BenchmarkTake is the wait for a key that is ready.
func BenchmarkTake(b *testing.B) {
	p, err := ca.NewPool(ca.PoolOptions{Kind: ca.P256})
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close()
	for b.Loop() {
		if _, err := p.Take(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkIssue signs certificates for keys that are there.
func BenchmarkIssue(b *testing.B) {
	for family, kind := range families {
		b.Run(family, func(b *testing.B) {
			w, r, _ := request(b, family, kind)
			for b.Loop() {
				if _, err := w.Issue(r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkHandOut is a certificate for a key that is there, and both as
// PKCS #12 with the chain.
func BenchmarkHandOut(b *testing.B) {
	for family, kind := range families {
		b.Run(family, func(b *testing.B) {
			w, r, private := request(b, family, kind)
			for b.Loop() {
				der, err := w.Issue(r)
				if err != nil {
					b.Fatal(err)
				}
				cert, err := x509.ParseCertificate(der)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := pkcs12.Modern2023.WithRand(rand.Reader).Encode(private, cert, w.Chain(), "correct horse battery"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func request(b *testing.B, family, kind string) (*world, ca.Request, crypto.Signer) {
	b.Helper()
	private := key(b, kind)
	return newWorld(b, family), ca.Request{Address: mailbox(b, "anna.miller@customers.example"), PublicKey: private.Public()}, private
}
