package lookup_test

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"math/big"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sealpost/internal/certificate"
	"sealpost/internal/testkit"
	"sealpost/lookup"
)

// Whatever certificates a recipient has, in whatever order: those that are
// sealed to are of one kind, RSA when there is any, and of keys that differ;
// the newest stand first, and neither order nor repetition in the answer matters.
func TestRankingHoldsForAnyAnswer(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	rapid.Check(t, func(t *rapid.T) {
		days := rapid.IntRange(0, 4)
		certs := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) *certificate.Certificate {
			kind := rapid.SampledFrom([]certificate.KeyKind{certificate.KeyRSA, certificate.KeyEC, certificate.KeyX25519}).Draw(t, "kind")
			c := &certificate.Certificate{
				KeyKind: kind, RawPublicKey: fmt.Appendf(nil, "%s %d", kind, rapid.IntRange(0, 3).Draw(t, "key")),
				NotBefore: start.AddDate(0, 0, days.Draw(t, "from")), NotAfter: start.AddDate(1, 0, days.Draw(t, "to")),
			}
			c.Raw = fmt.Appendf(nil, "%d %s %v %v", rapid.IntRange(0, 2).Draw(t, "serial"), c.RawPublicKey, c.NotBefore, c.NotAfter)
			return c
		}), 0, 8).Draw(t, "certificates")
		max := rapid.IntRange(0, 4).Draw(t, "max")
		got := usable(certs...).Usable(max)
		if (len(got) == 0) != (len(certs) == 0) || max > 0 && len(got) > max {
			t.Fatalf("%d of %d, at most %d", len(got), len(certs), max)
		}
		hasRSA := slices.ContainsFunc(certs, func(c *certificate.Certificate) bool { return c.KeyKind == certificate.KeyRSA })
		for i, c := range got {
			if c.KeyKind != got[0].KeyKind || hasRSA != (c.KeyKind == certificate.KeyRSA) {
				t.Errorf("%s beside %s", c.KeyKind, got[0].KeyKind)
			}
			for _, before := range got[:i] {
				if bytes.Equal(before.RawPublicKey, c.RawPublicKey) || c.NotBefore.After(before.NotBefore) {
					t.Errorf("%s of %v behind %s of %v", c.RawPublicKey, c.NotBefore, before.RawPublicKey, before.NotBefore)
				}
			}
		}
		if !hasRSA && len(got) > 0 && slices.ContainsFunc(certs, func(c *certificate.Certificate) bool { return c.NotBefore.After(got[0].NotBefore) }) {
			t.Errorf("one is newer than %v", got[0].NotBefore)
		}
		shuffled := rapid.Permutation(append(slices.Clone(certs), certs...)).Draw(t, "shuffled")
		again := usable(shuffled...).Usable(max)
		if !slices.EqualFunc(got, again, sameRanked) {
			t.Error("the order of the answer matters")
		}
	})
}

func sameRanked(a, b *certificate.Certificate) bool { return bytes.Equal(a.Raw, b.Raw) }

// A renewed certificate for the same key takes the place of the old one, also
// where the key is written in another way.
func TestRankingOneKeyInTwoEncodings(t *testing.T) {
	ca := testkit.NewCA(t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := key.PublicKey.ECDH()
	if err != nil {
		t.Fatal(err)
	}
	compressed := append([]byte{2 + byte(new(big.Int).SetBytes(point.Bytes()[33:]).Bit(0))}, point.Bytes()[1:33]...)
	ecPublic, p256 := testkit.OID(t, 1, 2, 840, 10045, 2, 1), testkit.OID(t, 1, 2, 840, 10045, 3, 1, 7)
	newCert := func(point []byte, age time.Duration) *certificate.Certificate {
		return read(t, testkit.Forged{Key: testkit.SPKI(point, ecPublic, p256), NotBefore: utcTime(time.Now().Add(-age)),
			Extensions: [][]byte{testkit.SAN(t, testkit.RFC822Name(anna))}}.Sign(t, ca))
	}
	old, renewed := newCert(point.Bytes(), 2*time.Hour), newCert(compressed, time.Hour)
	if k, ok := renewed.PublicKey.(*ecdh.PublicKey); !ok || !k.Equal(point) || bytes.Equal(old.RawPublicKey, renewed.RawPublicKey) {
		t.Fatal("the test's keys are not one key in two encodings")
	}
	for _, a := range []lookup.Answer{usable(old, renewed), usable(renewed, old)} {
		if got := a.Usable(0); len(got) != 1 || got[0] != renewed {
			t.Errorf("%d certificates", len(got))
		}
	}
}
