package queue

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"sealpost/relay/spool"
)

// filled is a spool with messages in it.
func filled(t testing.TB, messages, copies int) *spool.Store {
	t.Helper()
	key, err := spool.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	s, err := spool.Open(spool.Options{
		Dir: filepath.Join(t.TempDir(), "spool"), Identity: key, FS: newMemFS(), Reserve: 1, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	past := note{Through: true, Remote: "mx.example:25"}.after(errSaid(450), nil)
	for i := range messages {
		e := spool.Entry{ID: fmt.Sprintf("A%d", i), Meta: []byte(`{"kind":"sealed"}`), Body: text("x")}
		for range copies {
			e.Parcels = append(e.Parcels, spool.Parcel{
				Meta:  []byte(`{"to":"anna@example.org"}`),
				State: spool.State{Status: byte(tried), Next: time.Now().Add(time.Duration(i%7200-3600) * time.Second), Note: past.encode()},
			})
		}
		if err := s.Put(context.Background(), e); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func seed(t testing.TB, s *spool.Store) *Engine {
	t.Helper()
	e, err := New(Options{Store: s, Hostname: "relay.bank.example", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func heapNow() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// The memory that a parcel takes is bounded, and no goroutine belongs to it.
func TestSeedIsSmall(t *testing.T) {
	for _, c := range []struct{ messages, copies, most int }{{2000, 1, 700}, {200, 100, 150}} {
		s := filled(t, c.messages, c.copies)
		before, goroutines := heapNow(), runtime.NumGoroutine()
		e := seed(t, s)
		took := int(heapNow()-before) / (c.messages * c.copies)
		if took > c.most {
			t.Errorf("%d bytes for each of %d copies of %d messages", took, c.copies, c.messages)
		}
		if n := runtime.NumGoroutine(); n > goroutines {
			t.Errorf("%d goroutines more", n-goroutines)
		}
		if q := e.Stats().Queues[Deferred]; q.Parcels != c.messages*c.copies || q.Messages != c.messages {
			t.Errorf("%+v", q)
		}
		e.Stop(t.Context())
	}
}

// BenchmarkSeed reads a spool of 100000 parcels that wait.
func BenchmarkSeed(b *testing.B) {
	for _, copies := range []int{1, 100} {
		b.Run(fmt.Sprintf("%d-copies", copies), func(b *testing.B) {
			s := filled(b, 100000/copies, copies)
			before := heapNow()
			var e *Engine
			for b.Loop() {
				e = seed(b, s)
			}
			b.ReportMetric(float64(heapNow()-before)/100000, "B/parcel")
			e.Stop(b.Context())
		})
	}
}

// BenchmarkStats is what a scrape of the metrics costs with 100000 messages.
func BenchmarkStats(b *testing.B) {
	e := seed(b, filled(b, 100000, 1))
	for b.Loop() {
		e.Stats()
	}
	e.Stop(b.Context())
}
