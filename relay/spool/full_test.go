package spool

import (
	"context"
	"errors"
	"fmt"
	"testing"
)

func TestLimit(t *testing.T) {
	m := newMemFS()
	opt := small(t, m)
	opt.Limit = 20_000
	s := mustOpen(t, opt)
	full := 0
	for n := range 20 {
		err := s.Put(context.Background(), message(fmt.Sprint(n), 1))
		if errors.Is(err, ErrFull) {
			full++
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if st := s.Stats(); full == 0 || st.Used > st.Limit || st.Messages+full != 20 {
		t.Errorf("%d refused, %+v", full, st)
	}
	if err := s.Put(context.Background(), message("big", 5)); !errors.Is(err, ErrFull) {
		t.Errorf("a big body: %v", err)
	}
	calls := m.calls
	if s.Put(context.Background(), message("more", 1)); m.calls != calls {
		t.Error("a message beyond the limit reached the disk")
	}
	if err := s.Done(context.Background(), Ref{"0", 0}, Ref{"0", 1}); err != nil {
		t.Fatal(err)
	}
	mustPut(t, s, message("more", 1))
	mustClose(t, s)
}

// TestDiskFull fills the disk, by the store and by somebody else, and shows
// that mail taken is safe, can be finished, and that room is found again.
func TestDiskFull(t *testing.T) {
	m := newMemFS()
	m.space = 600 << 10
	diskFull(t, small(t, m), func() { m.space = 0 }, func() { m.space = 600 << 10 })
}

func diskFull(t *testing.T, opt Options, fill, free func()) {
	t.Helper()
	ctx := context.Background()
	s := mustOpen(t, opt)
	l := newLedger()
	fillUp := func(prefix string) {
		for n := range 2000 {
			err := l.put(s, message(fmt.Sprint(prefix, n), n))
			if errors.Is(err, ErrFull) {
				return
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		t.Fatal("the disk is never full")
	}
	fillUp("a")
	fill()
	l.check(t, s, "full")
	for id, e := range l.held {
		for p := range e.Parcels {
			ref := Ref{id, p}
			for _, err := range []error{l.attempt(s, ref), s.Update(ctx, ref, State{Note: []byte("450")})} {
				if err != nil {
					t.Fatalf("a change on a full disk: %v", err)
				}
			}
		}
	}
	half := len(l.held) / 2
	for id := range l.held {
		if half--; half < 0 {
			break
		}
		if finish(s, l, id, half%2 == 0); !l.gone[id] {
			t.Fatal("a delivery could not be recorded on a full disk")
		}
	}
	l.check(t, s, "half empty")
	mustClose(t, s)
	s = mustOpen(t, opt)
	l.check(t, s, "reopened on the full disk")
	free()
	fillUp("b")
	l.check(t, s, "full again")
	mustClose(t, s)
}

// TestReserve: what is kept free on the disk stays free.
func TestReserve(t *testing.T) {
	m := newMemFS()
	m.space = 2 << 20
	opt := small(t, m)
	opt.Reserve = 1 << 20
	s := mustOpen(t, opt)
	for n := 0; ; n++ {
		if err := s.Put(context.Background(), message(fmt.Sprint(n), n)); errors.Is(err, ErrFull) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if free, err := m.Free(); err != nil || free < opt.Reserve {
		t.Errorf("%d bytes are free, %d were to be kept (%v)", free, opt.Reserve, err)
	}
	mustClose(t, s)
}
