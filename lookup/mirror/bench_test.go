package mirror

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"sealpost/lookup/keydb"
)

// The size of the benchmarks: a million addresses with a certificate of 1.2 KB.
const (
	million   = 1000000
	benchCert = 1200
)

func benchKey(i int) string { return fmt.Sprintf("person%07d@example.org", i) }

// benchChange is about the person with this number. The bytes of the
// certificate are none, but as hard to compress.
func benchChange(rng *rand.ChaCha8, seq uint64, person int) keydb.Change {
	der := make([]byte, benchCert)
	rng.Read(der)
	key := benchKey(person)
	now := time.Unix(1800000000, 0)
	return keydb.Change{Seq: seq, Address: key, Certificates: []keydb.Certificate{{
		DER: der, SHA256: keydb.Fingerprint(der[:32]), Addresses: []string{key}, Key: "RSA 2048", Origin: "import",
		NotBefore: now, NotAfter: now.AddDate(1, 0, 0), FirstSeen: now, LastSeen: now,
	}}}
}

func benchPage(rng *rand.ChaCha8, from uint64, persons []int) keydb.Page {
	page := keydb.Page{Complete: true, Sequence: from + uint64(len(persons)), Next: fmt.Sprintf("E.%d", from+uint64(len(persons)))}
	for i, p := range persons {
		page.Changes = append(page.Changes, benchChange(rng, from+uint64(i)+1, p))
	}
	return page
}

var benchSeed = [32]byte{1}

// bigFile makes a mirror of a million once, and tells how long its pages took
// to apply.
var bigFile = sync.OnceValues(func() (string, time.Duration) {
	dir, err := os.MkdirTemp("", "mirror-bench")
	if err != nil {
		panic(err)
	}
	file := filepath.Join(dir, "mirror.db")
	m, err := Open(Options{File: file})
	if err != nil {
		panic(err)
	}
	rng := rand.NewChaCha8(benchSeed)
	var took time.Duration
	persons := make([]int, pageSize)
	for n := 0; n < million; n += pageSize {
		for i := range persons {
			persons[i] = n + i
		}
		page := benchPage(rng, uint64(n), persons)
		start := time.Now()
		if err := m.Apply(page); err != nil {
			panic(err)
		}
		took += time.Since(start)
	}
	if err := m.Close(); err != nil {
		panic(err)
	}
	return file, took
})

func TestMain(m *testing.M) {
	if url := os.Getenv(followerOf); url != "" {
		fmt.Fprintln(os.Stderr, followUntilKilled(url))
		os.Exit(1)
	}
	// Each run waits for the disk many times; the command line still decides.
	if err := flag.Set("rapid.checks", "30"); err != nil {
		panic(err)
	}
	code := m.Run()
	if bigFileMade {
		file, _ := bigFile()
		os.RemoveAll(filepath.Dir(file))
	}
	os.Exit(code)
}

var bigFileMade bool

func openBig(b *testing.B) *Mirror {
	b.Helper()
	bigFileMade = true
	file, _ := bigFile()
	m, err := Open(Options{File: file})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { m.Close() })
	return m
}

// BenchmarkGet asks for a million addresses at random, one in five of which
// is not there.
func BenchmarkGet(b *testing.B) {
	m := openBig(b)
	keys := make([]string, 1<<20)
	rng := rand.New(rand.NewChaCha8(benchSeed))
	for i := range keys {
		keys[i] = benchKey(rng.IntN(million * 5 / 4))
	}
	ask := func(b *testing.B, key string) {
		if _, _, err := m.Get(key); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("1", func(b *testing.B) {
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			ask(b, keys[i&(len(keys)-1)])
			i++
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "gets/s")
	})
	b.Run("parallel", func(b *testing.B) {
		b.RunParallel(func(pb *testing.PB) {
			i := rand.IntN(len(keys))
			for pb.Next() {
				ask(b, keys[i&(len(keys)-1)])
				i++
			}
		})
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "gets/s")
	})
}

// BenchmarkOpen opens the mirror of a million.
func BenchmarkOpen(b *testing.B) {
	openBig(b).Close()
	file, _ := bigFile()
	for b.Loop() {
		m, err := Open(Options{File: file})
		if err != nil {
			b.Fatal(err)
		}
		if m.State().Entries != million {
			b.Fatal(m.State())
		}
		b.StopTimer()
		m.Close()
		b.StartTimer()
	}
}

// BenchmarkFill tells how fast a million new addresses were applied, durably,
// a thousand at a time, and how much of the disk they take.
func BenchmarkFill(b *testing.B) {
	openBig(b)
	file, took := bigFile()
	size := int64(0)
	for _, p := range []string{file, file + indexSuffix} {
		st, err := os.Stat(p)
		if err != nil {
			b.Fatal(err)
		}
		size += st.Size()
	}
	for b.Loop() {
	}
	b.ReportMetric(million/took.Seconds(), "changes/s")
	b.ReportMetric(float64(size)/(million*benchCert), "disk/payload")
}

// BenchmarkApply changes addresses that are there, a thousand at a time,
// compaction included.
func BenchmarkApply(b *testing.B) {
	m := openBig(b)
	rng := rand.NewChaCha8([32]byte{2})
	numbers := rand.New(rng)
	seq, largest := m.State().Sequence, int64(0)
	persons := make([]int, pageSize)
	for b.Loop() {
		b.StopTimer()
		for i := range persons {
			persons[i] = numbers.IntN(million)
		}
		page := benchPage(rng, seq, persons)
		b.StartTimer()
		if err := m.Apply(page); err != nil {
			b.Fatal(err)
		}
		seq += pageSize
		largest = max(largest, m.State().Bytes)
	}
	b.ReportMetric(float64(b.N)*pageSize/b.Elapsed().Seconds(), "changes/s")
	b.ReportMetric(float64(largest+million*indexLine)/(million*benchCert), "disk/payload")
}
