package revocation

import (
	"math/big"
	"testing"
	"time"

	"sealpost/internal/testkit"
)

// A list of a million certificates: the time to read it, and the memory that it
// keeps.
func BenchmarkReadMillion(b *testing.B) {
	a := testkit.NewAuthority(b)
	var l testkit.List
	base := new(big.Int).Lsh(big.NewInt(3), 125)
	for i := range 1_000_000 {
		l.Revoked = append(l.Revoked, testkit.Withdrawn{Serial: new(big.Int).Add(base, big.NewInt(int64(i)*7919%1_000_003)), Reason: 4})
	}
	der := a.List(b, l)
	l = testkit.List{}
	b.SetBytes(int64(len(der)))
	var kept *list
	for b.Loop() {
		var err error
		if kept, err = readList(der, a.Cert, time.Now()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(kept.size())/1e6, "MB-kept")
	b.ReportMetric(float64(len(der))/1e6, "MB-list")
}

// What a lookup costs that has everything at hand.
func BenchmarkCheck(b *testing.B) {
	a := testkit.NewAuthority(b)
	cert := a.Issue(b, testkit.Leaf{Key: "p256", Change: a.Points("crl")}).Cert
	p := pointersOf(cert)
	b.Run("pointers", func(b *testing.B) {
		for b.Loop() {
			pointersOf(cert)
		}
	})
	l, err := readList(a.List(b, testkit.List{}), a.Cert, time.Now())
	if err != nil || len(p.points) != 1 {
		b.Fatal(err)
	}
	b.Run("status", func(b *testing.B) {
		for b.Loop() {
			l.status(cert)
		}
	})
}
