package spool

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
)

// life is a short life of a store in which every kind of file operation
// occurs: segments fill, are emptied, compacted and used again, bodies get
// files of their own. Errors are booked, and never end it.
func life(s *Store, l *ledger) {
	ctx := context.Background()
	for n := range 30 {
		id := fmt.Sprintf("id%02d", n)
		if l.put(s, message(id, n)) != nil {
			continue
		}
		l.attempt(s, Ref{id, 0})
		for range 3 { // enough for the journal to be rewritten, and to grow
			s.Update(ctx, Ref{id, 0}, State{Status: 2, Next: clock(), Note: make([]byte, MaxNote)})
		}
		if n >= 3 && n%9 != 0 {
			finish(s, l, fmt.Sprintf("id%02d", n-3), n%2 == 0)
		}
	}
	same(s, message("id00", 0))
}

// finish ends a message one way or the other.
func finish(s *Store, l *ledger, id string, byDelete bool) {
	l.mu.Lock()
	e, held := l.held[id]
	l.mu.Unlock()
	if !held {
		return
	}
	l.end(id, func() error {
		if byDelete {
			return s.Delete(context.Background(), id)
		}
		for p := range e.Parcels {
			if err := s.Done(context.Background(), Ref{id, p}); err != nil {
				return err
			}
		}
		return nil
	})
}

func TestFaultTable(t *testing.T) {
	key := mustKey(t)
	count := func() int {
		fs := newMemFS()
		opt := small(t, fs)
		opt.Identity = key
		s := mustOpen(t, opt)
		life(s, newLedger())
		mustClose(t, s)
		return fs.calls
	}()
	if count < 300 {
		t.Fatalf("the life of a store has only %d file operations", count)
	}
	for how, name := range map[fault]string{fails: "fails", persists: "fails after it persisted", tears: "is torn"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for call := 1; call <= count; call++ {
				oneFault(t, key, how, call)
			}
		})
	}
}

// oneFault breaks one call in the life of a store, and looks at the whole
// state after it: in the running store, after Close and Open, or after a
// power cut.
func oneFault(t *testing.T, key *Key, how fault, call int) {
	t.Helper()
	fs := newMemFS()
	broken := ""
	fs.fault = func(n int, op, name string) fault {
		if n == call {
			broken = op + " " + name
			return how
		}
		return works
	}
	opt := small(t, fs)
	opt.Identity = key
	l := newLedger()
	s, err := Open(opt)
	if err != nil && !errors.Is(err, errInjected) {
		t.Fatalf("call %d: Open: %v", call, err)
	}
	if err != nil {
		s = mustOpen(t, opt)
	}
	life(s, l)
	fs.mu.Lock()
	fs.fault = nil
	fs.mu.Unlock()
	when := fmt.Sprintf("call %d (%s)", call, broken)
	if call%3 != 0 {
		l.check(t, s, when)
		if err := l.put(s, message("after", 5)); err != nil {
			t.Fatalf("%s: the store did not recover: %v", when, err)
		}
	}
	if call%2 == 0 {
		fs.mu.Lock()
		fs.off = true
		fs.mu.Unlock()
		s.Close()
		fs.crash(rand.New(rand.NewPCG(uint64(call), uint64(how))))
	} else if err := s.Close(); err != nil && !errors.Is(err, errInjected) {
		t.Fatalf("%s: Close: %v", when, err)
	}
	s = mustOpen(t, opt)
	l.check(t, s, when+", reopened")
	mustPut(t, s, message("last", 10))
	mustClose(t, s)
}

// TestJournalInDoubt: when the new journal may or may not have its name, no
// change may go to the old one: after a restart the new one would win.
func TestJournalInDoubt(t *testing.T) {
	for _, op := range []string{"rename", "syncdir"} {
		fs := newMemFS()
		opt := small(t, fs)
		s := mustOpen(t, opt)
		mustPut(t, s, message("a", 1))
		fs.mu.Lock()
		fs.fault = func(_ int, o, _ string) fault {
			if o == op {
				return persists
			}
			return works
		}
		fs.mu.Unlock()
		if err := s.enqueue(changeRequest{grow: 2 * s.journal.size}); !errors.Is(err, errInjected) {
			t.Fatalf("%s: %v", op, err)
		}
		fs.mu.Lock()
		fs.fault = nil
		fs.mu.Unlock()
		if err := s.Delete(context.Background(), "a"); err != nil {
			t.Fatalf("%s: %v", op, err)
		}
		fs.mu.Lock()
		fs.off = true
		fs.mu.Unlock()
		s.Close()
		fs.crash(rand.New(rand.NewPCG(1, 1)))
		s = mustOpen(t, opt)
		if _, err := s.Info("a"); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: the message is back: %v", op, err)
		}
		mustClose(t, s)
	}
}

// TestPowerCut lets many goroutines use a store, cuts the power at a random
// call, loses a random part of what was not synced, and looks at what is left.
func TestPowerCut(t *testing.T) {
	t.Parallel()
	for seed := range uint64(30) {
		rng := rand.New(rand.NewPCG(seed, 1))
		fs := newMemFS()
		opt := small(t, fs)
		opt.SegmentSize = 16 << 10
		l := newLedger()
		for round := range 3 {
			cut := fs.calls + 1 + rng.IntN(700)
			fs.fault = func(n int, _, _ string) fault {
				if n >= cut {
					return cutsPower
				}
				return works
			}
			if s, err := Open(opt); err == nil {
				busy(s, l, fmt.Sprintf("s%dr%d", seed, round))
				s.Close()
			}
			fs.mu.Lock()
			fs.off = true
			fs.mu.Unlock()
			fs.crash(rng)
			s := mustOpen(t, opt)
			l.check(t, s, fmt.Sprintf("seed %d round %d", seed, round))
			finishSome(s, l, rng)
			mustClose(t, s)
			fs.crash(rng)
		}
	}
}

// finishSome ends half of what waits: what a recovered store says is over
// must not come back either.
func finishSome(s *Store, l *ledger, rng *rand.Rand) {
	for info := range s.All() {
		if _, held := l.held[info.ID]; !held {
			l.held[info.ID] = l.open[info.ID]
			delete(l.open, info.ID)
		}
		if rng.IntN(2) == 0 {
			finish(s, l, info.ID, rng.IntN(2) == 0)
		}
	}
}

// busy has writers at work that put and end messages until they are through
// or the power is off.
func busy(s *Store, l *ledger, name string) {
	var wg sync.WaitGroup
	for w := range 6 {
		wg.Go(func() {
			for n := range 12 {
				id := fmt.Sprintf("%sw%dn%d", name, w, n)
				if errors.Is(l.put(s, message(id, n)), errPower) {
					return
				}
				l.attempt(s, Ref{id, 0})
				if n%4 != 0 {
					finish(s, l, id, n%2 == 0)
				}
			}
		})
	}
	wg.Wait()
}
