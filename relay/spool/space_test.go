package spool

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// settle waits until the cleaner has nothing to do.
func settle(s *Store, done func() bool) bool {
	for range 1_000_000 {
		s.signalCleaner()
		s.mu.Lock()
		ok := done()
		s.mu.Unlock()
		if ok {
			return true
		}
		runtime.Gosched()
	}
	return false
}

// TestSegmentsAreUsedAgain: a steady flow needs no new files.
func TestSegmentsAreUsedAgain(t *testing.T) {
	m := newMemFS()
	s := mustOpen(t, small(t, m))
	for n := range 600 {
		id := fmt.Sprint(n)
		mustPut(t, s, message(id, 1))
		if err := s.Delete(context.Background(), id); err != nil {
			t.Fatal(err)
		}
	}
	if !settle(s, func() bool { return len(s.segments) <= 1 }) {
		t.Errorf("%d segments for an empty store", len(s.segments))
	}
	if s.lastSegment < 10 {
		t.Fatalf("only %d segments were used: the test tests nothing", s.lastSegment)
	}
	if files := strings.Count(string(m.contents("free-")), "free-"); files > maxFree {
		t.Errorf("%d free segments", files)
	}
	mustClose(t, s)
}

// TestHeldMessagesPinLittle: one message in each of many segments must not
// keep them all.
func TestHeldMessagesPinLittle(t *testing.T) {
	opt := small(t, newMemFS())
	s := mustOpen(t, opt)
	l := newLedger()
	for n := range 800 {
		id := fmt.Sprint(n)
		if err := l.put(s, message(id, 1)); err != nil {
			t.Fatal(err)
		}
		if n%25 != 0 {
			finish(s, l, id, true)
		}
	}
	enough := func() bool { return len(s.segments) <= slack+2 }
	if !settle(s, enough) {
		t.Errorf("%d segments for %d messages", len(s.segments), len(s.entries))
	}
	l.check(t, s, "compacted")
	mustClose(t, s)
	s = mustOpen(t, opt)
	l.check(t, s, "compacted and reopened")
	mustClose(t, s)
}

// TestReaderHoldsItsSegment: a body that is being read is not written over,
// whatever becomes of the message.
func TestReaderHoldsItsSegment(t *testing.T) {
	s := mustOpen(t, small(t, newMemFS()))
	for _, e := range []Entry{message("small", 1), message("big", 5)} {
		mustPut(t, s, e)
		r, err := s.OpenBody(e.ID)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Delete(context.Background(), e.ID); err != nil {
			t.Fatal(err)
		}
		for n := range 300 {
			mustPut(t, s, message(fmt.Sprint(e.ID, n), 1))
			if err := s.Delete(context.Background(), fmt.Sprint(e.ID, n)); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := io.ReadAll(r); err != nil || string(got) != string(e.Body.(text)) {
			t.Errorf("%s: %v", e.ID, err)
		}
		for range 2 {
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	mustClose(t, s)
}

// TestJournalIsRewritten: the journal does not grow with what happens, only
// with what waits.
func TestJournalIsRewritten(t *testing.T) {
	opt := small(t, newMemFS())
	s := mustOpen(t, opt)
	l := newLedger()
	for n := range 30 {
		if err := l.put(s, message(fmt.Sprint(n), n)); err != nil {
			t.Fatal(err)
		}
	}
	for n := range 3000 {
		ref := Ref{fmt.Sprint(n % 30), 0}
		if err := l.attempt(s, ref); err != nil {
			t.Fatal(err)
		}
		if err := s.Update(context.Background(), ref, State{Note: make([]byte, 200)}); err != nil {
			t.Fatal(err)
		}
	}
	if s.journal.number < 3 || s.journal.size != opt.withDefaults().journal {
		t.Errorf("journal %d has %d bytes", s.journal.number, s.journal.size)
	}
	mustClose(t, s)
	s = mustOpen(t, opt)
	l.check(t, s, "reopened")
	mustClose(t, s)
}

// TestJournalGrows: many messages with long notes need a larger journal.
func TestJournalGrows(t *testing.T) {
	opt := small(t, newMemFS())
	s := mustOpen(t, opt)
	l := newLedger()
	for n := range 100 {
		e := message(fmt.Sprint(n), n)
		e.Parcels[0].State.Note = make([]byte, MaxNote)
		if err := l.put(s, e); err != nil {
			t.Fatal(err)
		}
	}
	if s.journal.size < 2*100*MaxNote {
		t.Errorf("journal has %d bytes", s.journal.size)
	}
	mustClose(t, s)
	s = mustOpen(t, opt)
	l.check(t, s, "reopened")
	mustClose(t, s)
}

// TestSizesAreCounted: the running sums are those of the messages there.
func TestSizesAreCounted(t *testing.T) {
	s := mustOpen(t, small(t, newMemFS()))
	life(s, newLedger())
	s.mu.Lock()
	var used, state int64
	open := 0
	for _, e := range s.entries {
		used += e.stored()
		state += stateSize(e)
		for _, p := range e.parcels {
			if !p.Done {
				open++
			}
		}
	}
	for _, seg := range s.segments {
		state += int64(len(seg.dead) * len(uid{}))
		var live int64
		for _, e := range seg.entries {
			live += e.length
		}
		if live != seg.live {
			t.Errorf("segment %d: %d live, counted %d", seg.number, live, seg.live)
		}
	}
	if used != s.used || open != s.open || s.reserved != 0 || s.reservedState != 0 || len(s.pending) != 0 {
		t.Errorf("used %d, counted %d; open %d, counted %d; reserved %d, %d, %d", used, s.used, open, s.open, s.reserved, s.reservedState, len(s.pending))
	}
	if state != s.stateSize {
		t.Errorf("state %d, counted %d", state, s.stateSize)
	}
	s.mu.Unlock()
	mustClose(t, s)
}

func TestCloseLeavesNothingBehind(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	opt := small(t, nil)
	s := mustOpen(t, opt)
	busy(s, newLedger(), "x")
	mustClose(t, s)
	if err := s.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}
