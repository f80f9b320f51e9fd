package spool

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

// benchOptions is a store as it runs, on the disk of the test's folder.
func benchOptions(b *testing.B) Options {
	opt := small(b, nil)
	opt.SegmentSize, opt.Limit, opt.BigBody = 0, 100<<30, 0
	return opt
}

// write calls put from so many goroutines until b.N are done.
func write(b *testing.B, writers int, put func(id string) error) {
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ResetTimer()
	for range writers {
		wg.Go(func() {
			for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
				if err := put(fmt.Sprint("id", n)); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
}

// BenchmarkPut puts messages, and deletes them a little later, as a spool does
// that upstream drains: its segments are used again.
func BenchmarkPut(b *testing.B) {
	for _, size := range []int{5 << 10, 50 << 10} {
		for _, writers := range []int{1, 10, 50} {
			b.Run(fmt.Sprintf("%dK/%dwriters", size>>10, writers), func(b *testing.B) {
				s := mustOpen(b, benchOptions(b))
				body := bodyOf("bench", size)
				meta := make([]byte, 1000)
				done := make(chan string, 1000)
				var drain sync.WaitGroup
				drain.Go(func() {
					for ids := batchOf(done); len(ids) > 0; ids = batchOf(done) {
						if err := s.Delete(context.Background(), ids...); err != nil {
							b.Error(err)
						}
					}
				})
				b.SetBytes(int64(size))
				write(b, writers, func(id string) error {
					err := s.Put(context.Background(), Entry{ID: id, Meta: meta[:200], Parcels: []Parcel{{Meta: meta}}, Body: body})
					done <- id
					return err
				})
				close(done)
				drain.Wait()
				mustClose(b, s)
			})
		}
	}
}

// batchOf gives up to 500 ids at once.
func batchOf(ids <-chan string) (batch []string) {
	for id := range ids {
		if batch = append(batch, id); len(batch) == 500 {
			break
		}
	}
	return batch
}

// BenchmarkFilePerMessage is the anchor: a file, fsync and rename for each
// message, as a simple spool would.
func BenchmarkFilePerMessage(b *testing.B) {
	for _, size := range []int{5 << 10, 50 << 10} {
		for _, writers := range []int{1, 10, 50} {
			b.Run(fmt.Sprintf("%dK/%dwriters", size>>10, writers), func(b *testing.B) {
				d := disk{b.TempDir()}
				body := bodyOf("bench", size)
				b.SetBytes(int64(size))
				write(b, writers, func(id string) error { return fileOf(d, id, body) })
			})
		}
	}
}

func fileOf(d disk, id string, body []byte) error {
	f, err := os.Create(filepath.Join(d.dir, id+".new"))
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Write(body); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := d.Rename(id+".new", id); err != nil {
		return err
	}
	if err := d.SyncDir("."); err != nil {
		return err
	}
	return d.Remove(id)
}

// BenchmarkOpen opens a spool of 100000 messages after a clean end.
func BenchmarkOpen(b *testing.B) {
	const messages = 100_000
	opt := benchOptions(b)
	s := mustOpen(b, opt)
	var wg sync.WaitGroup
	for w := range 50 {
		wg.Go(func() {
			for n := w; n < messages; n += 50 {
				e := Entry{ID: fmt.Sprint("id", n), Meta: make([]byte, 200), Body: make(text, 5<<10)}
				e.Parcels = []Parcel{{Meta: make([]byte, 1000), State: State{Next: clock(), Note: make([]byte, 80)}}}
				if err := s.Put(context.Background(), e); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
	mustClose(b, s)
	for b.Loop() {
		s := mustOpen(b, opt)
		b.StopTimer()
		if st := s.Stats(); st.Messages != messages {
			b.Fatalf("%d messages", st.Messages)
		}
		var mem runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&mem)
		b.ReportMetric(float64(mem.HeapAlloc)/1e6, "MB-heap")
		mustClose(b, s)
		b.StartTimer()
	}
}
