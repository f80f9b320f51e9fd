package spill

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/iotest"
)

const canary = "CANARY-plaintext-that-must-stay-in-memory-"

// content is n bytes that repeat the canary.
func content(n int) []byte {
	return bytes.Repeat([]byte(canary), n/len(canary)+1)[:n]
}

// filled is a spill that was written in pieces of the given size.
func filled(t testing.TB, p *Pool, data []byte, piece int) *Spill {
	t.Helper()
	s := p.New()
	t.Cleanup(func() { s.Close() })
	for len(data) > 0 {
		k := min(piece, len(data))
		if n, err := s.Write(data[:k]); n != k || err != nil {
			t.Fatalf("Write(%d bytes) = %d, %v", k, n, err)
		}
		data = data[k:]
	}
	return s
}

func newReader(t testing.TB, s *Spill) io.Reader {
	t.Helper()
	r, err := s.Reader()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestReadsBackWhatWasWritten(t *testing.T) {
	for _, memory := range []int64{1, chunkSize, 3*chunkSize + 5, 1 << 20} {
		p := New(Options{Memory: memory, Dir: t.TempDir()})
		for _, size := range []int{
			0, 1, 15, 16, 17, chunkSize - 1, chunkSize, chunkSize + 1,
			int(memory), int(memory) + 1, 5 * chunkSize, 5*chunkSize + 777,
		} {
			t.Run(fmt.Sprintf("%d of %d", size, memory), func(t *testing.T) {
				want := content(size)
				s := filled(t, p, want, 1+rand.IntN(2*chunkSize))
				if s.Size() != int64(size) {
					t.Errorf("Size() = %d", s.Size())
				}
				if got, err := io.ReadAll(iotest.HalfReader(newReader(t, s))); err != nil || !bytes.Equal(got, want) {
					t.Errorf("ReadAll gave other bytes, %v", err)
				}
				var b bytes.Buffer
				if n, err := newReader(t, s).(io.WriterTo).WriteTo(&b); n != int64(size) || err != nil {
					t.Errorf("WriteTo = %d, %v", n, err)
				}
				if !bytes.Equal(b.Bytes(), want) {
					t.Error("WriteTo gave other bytes")
				}
				half := newReader(t, s)
				head := make([]byte, size/2)
				if _, err := io.ReadFull(half, head); err != nil {
					t.Error(err)
				}
				b.Reset()
				b.Write(head)
				if _, err := io.Copy(&b, half); err != nil || !bytes.Equal(b.Bytes(), want) {
					t.Errorf("Read then WriteTo gave other bytes, %v", err)
				}
			})
		}
		if got := p.Stats(); got != (Stats{}) {
			t.Errorf("left over: %+v", got)
		}
	}
}

func TestReaderKeepsTheContract(t *testing.T) {
	p := New(Options{Memory: 1, Dir: t.TempDir()})
	want := content(chunkSize + 100)
	if err := iotest.TestReader(newReader(t, filled(t, p, want, 999)), want); err != nil {
		t.Error(err)
	}
}

func TestStaysInMemoryUpToTheLimit(t *testing.T) {
	p := New(Options{Memory: 2 * chunkSize, Dir: t.TempDir()})
	s := filled(t, p, content(2*chunkSize), 1000)
	if got := p.Stats(); got.Files != 0 || got.Memory != 2*chunkSize {
		t.Errorf("at the limit: %+v", got)
	}
	if _, err := s.Write([]byte{'x'}); err != nil {
		t.Fatal(err)
	}
	if got := p.Stats(); got.Files != 1 || got.Memory != chunkSize {
		t.Errorf("past the limit: %+v", got)
	}
}

func TestBudgetSendsMessagesToFilesSooner(t *testing.T) {
	p := New(Options{Memory: 1 << 20, Budget: 4 * chunkSize, Dir: t.TempDir()})
	first := filled(t, p, content(4*chunkSize), chunkSize)
	second := filled(t, p, content(3*chunkSize), chunkSize)
	if got := p.Stats(); got.Files != 1 || got.Memory != 5*chunkSize {
		t.Errorf("%+v, want one file, and a single chunk past the budget", got)
	}
	first.Close()
	third := filled(t, p, content(3*chunkSize), chunkSize)
	if got := p.Stats(); got.Files != 1 {
		t.Errorf("memory that came back is not used: %+v", got)
	}
	for _, s := range []*Spill{second, third} {
		if got, err := io.ReadAll(newReader(t, s)); err != nil || !bytes.Equal(got, content(3*chunkSize)) {
			t.Errorf("other bytes, %v", err)
		}
	}
}

func TestManyReadersAtOnce(t *testing.T) {
	p := New(Options{Memory: chunkSize, Dir: t.TempDir()})
	var wg sync.WaitGroup
	for m := range 4 {
		want := content(3*chunkSize + m*4321)
		s := filled(t, p, want, 9999)
		for range 4 {
			wg.Go(func() {
				r, err := s.Reader()
				if err != nil {
					t.Error(err)
					return
				}
				if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, want) {
					t.Errorf("other bytes, %v", err)
				}
			})
		}
	}
	wg.Wait()
}

// A reader that outlives its message must not see the next one's bytes.
func TestCloseUnderReaders(t *testing.T) {
	p := New(Options{Dir: t.TempDir()})
	s := filled(t, p, content(4*chunkSize), chunkSize)
	readers := []io.Reader{newReader(t, s), newReader(t, s)}
	var wg sync.WaitGroup
	for _, r := range readers {
		wg.Go(func() {
			got, err := io.ReadAll(r)
			if err != nil && !errors.Is(err, ErrClosed) {
				t.Error(err)
			}
			if !bytes.HasPrefix(content(4*chunkSize), got) {
				t.Error("a reader saw foreign bytes")
			}
		})
	}
	s.Close()
	other := filled(t, p, bytes.Repeat([]byte{0xff}, 4*chunkSize), chunkSize)
	wg.Wait()
	if _, err := readers[0].Read(make([]byte, 1)); !errors.Is(err, ErrClosed) {
		t.Errorf("Read after Close: %v", err)
	}
	if _, err := readers[0].(io.WriterTo).WriteTo(io.Discard); !errors.Is(err, ErrClosed) {
		t.Errorf("WriteTo after Close: %v", err)
	}
	other.Close()
	if err := s.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	if got := p.Stats(); got != (Stats{}) {
		t.Errorf("left over: %+v", got)
	}
}

func TestOutOfTurn(t *testing.T) {
	s := New(Options{}).New()
	newReader(t, s)
	if _, err := s.Write([]byte("x")); !errors.Is(err, ErrReading) {
		t.Errorf("Write after Reader: %v", err)
	}
	s.Close()
	if _, err := s.Write([]byte("x")); !errors.Is(err, ErrClosed) {
		t.Errorf("Write after Close: %v", err)
	}
	if _, err := s.Reader(); !errors.Is(err, ErrClosed) {
		t.Errorf("Reader after Close: %v", err)
	}
}

func BenchmarkSpill(b *testing.B) {
	for _, size := range []int{5 << 10, 50 << 10, 1 << 20, 8 << 20} {
		b.Run(fmt.Sprintf("%dKB", size>>10), func(b *testing.B) {
			p, data := New(Options{Dir: b.TempDir()}), content(size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				s := p.New()
				for rest := data; len(rest) > 0; rest = rest[min(len(rest), 32<<10):] {
					if _, err := s.Write(rest[:min(len(rest), 32<<10)]); err != nil {
						b.Fatal(err)
					}
				}
				r, err := s.Reader()
				if err != nil {
					b.Fatal(err)
				}
				if _, err := io.Copy(io.Discard, r); err != nil {
					b.Fatal(err)
				}
				s.Close()
			}
		})
	}
}
