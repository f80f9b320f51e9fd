package store_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"sealpost/directory/store"
	"sealpost/internal/certificate"
	"sealpost/internal/testkit"
)

// A mould makes any number of certificates that differ in serial number and
// address, as fast as memory can be copied. Their signatures are wrong, which
// nobody here looks at.
type mould struct {
	der             []byte
	address, serial int
	name            func(int) string // of the certificate's mailbox, as long as mouldAddress
}

const mouldAddress = "user-00000000@customers.bank.example"

func newMould(t testing.TB, ca *testkit.CA) mould {
	t.Helper()
	cert := ca.Issue(t, testkit.Leaf{Addresses: []string{mouldAddress}, Name: "An ordinary customer of the bank with a name that makes 1200 bytes",
		Change: func(c *x509.Certificate) {
			c.OCSPServer = []string{"http://ocsp.ca.example/" + strings.Repeat("o", 150)}
			c.CRLDistributionPoints = []string{"http://crl.ca.example/" + strings.Repeat("c", 240)}
		}}).Cert
	serial := cert.SerialNumber.Bytes()
	return mould{cert.Raw, bytes.LastIndex(cert.Raw, []byte(mouldAddress)), bytes.Index(cert.Raw, serial) + len(serial) - 8, mouldName}
}

func mouldName(i int) string { return fmt.Sprintf("user-%08d@customers.bank.example", i) }

func (m mould) cert(t testing.TB, i int) *certificate.Certificate {
	der := bytes.Clone(m.der)
	copy(der[m.address:], m.name(i))
	copy(der[m.serial:], fmt.Sprintf("%08x", i))
	c, err := certificate.Parse(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// filled is a directory with n certificates.
func filled(t testing.TB, w *world, n int) (*store.Store, mould) {
	t.Helper()
	s, m := w.open(t), newMould(t, w.ca)
	bulk, err := s.Bulk(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for list := range slices.Chunk(m.list(t, n), 5000) {
		if _, err := bulk.Add(context.Background(), list); err != nil {
			t.Fatal(err)
		}
	}
	if err := bulk.Commit(context.Background()); err != nil {
		t.Fatal(err)
	}
	return s, m
}

// list is the first n certificates, to be added.
func (m mould) list(t testing.TB, n int) []store.New {
	list := make([]store.New, n)
	for i := range list {
		list[i] = store.New{Cert: m.cert(t, i), Origin: store.OriginImport}
	}
	return list
}

const benchSize = 20000

// eachBench runs a benchmark against each kind of database.
func eachBench(b *testing.B, bench func(*testing.B, *store.Store, mould)) {
	for _, kind := range kinds {
		b.Run(kind.name, func(b *testing.B) {
			s, m := filled(b, newWorld(b, kind), benchSize)
			b.ResetTimer()
			bench(b, s, m)
		})
	}
}

func BenchmarkLookup(b *testing.B) {
	for _, size := range []int{1, 100} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			eachBench(b, func(b *testing.B, s *store.Store, _ mould) {
				keys := make([]string, size)
				b.ReportAllocs()
				for n := 0; b.Loop(); n++ {
					for i := range keys {
						keys[i] = mouldName((n*size + i) * 7919 % benchSize)
					}
					if found, err := s.Lookup(context.Background(), keys); err != nil || len(found[0]) != 1 {
						b.Fatal(found, err)
					}
				}
				b.ReportMetric(float64(size)*float64(b.N)/b.Elapsed().Seconds(), "addresses/s")
			})
		})
	}
}

// BenchmarkLookupsAtOnce is ten callers who want one address each.
func BenchmarkLookupsAtOnce(b *testing.B) {
	eachBench(b, func(b *testing.B, s *store.Store, _ mould) {
		b.SetParallelism((9 + runtime.GOMAXPROCS(0)) / runtime.GOMAXPROCS(0))
		var n atomic.Int64
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				key := mouldName(int(n.Add(7919)) % benchSize)
				if found, err := s.Lookup(context.Background(), []string{key}); err != nil || len(found[0]) != 1 {
					b.Error(found, err)
				}
			}
		})
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "addresses/s")
	})
}

func BenchmarkAdd(b *testing.B) {
	for _, size := range []int{1, 1000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			eachBench(b, func(b *testing.B, s *store.Store, m mould) {
				for next := benchSize; b.Loop(); next += size {
					list := make([]store.New, size)
					for i := range list {
						list[i] = store.New{Cert: m.cert(b, next+i), Origin: store.OriginHarvest, Supersede: true}
					}
					if _, err := s.Add(context.Background(), list); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(size)*float64(b.N)/b.Elapsed().Seconds(), "certificates/s")
			})
		})
	}
}

func BenchmarkChanges(b *testing.B) {
	eachBench(b, func(b *testing.B, s *store.Store, _ mould) {
		const page = 1000
		for since := uint64(0); b.Loop(); since = (since + page) % benchSize {
			if list, err := s.Changes(context.Background(), since, page); err != nil || len(list) != page {
				b.Fatal(len(list), err)
			}
		}
		b.ReportMetric(page*float64(b.N)/b.Elapsed().Seconds(), "changes/s")
	})
}
