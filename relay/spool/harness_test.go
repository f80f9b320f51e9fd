package spool

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// text is a body in memory.
type text []byte

func (b text) Size() int64 { return int64(len(b)) }

func (b text) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(b)
	return int64(n), err
}

// bodyOf gives the body that belongs to an id: any test can tell whether it
// came back whole.
func bodyOf(id string, size int) text {
	seed := sha256.Sum256([]byte(id))
	b := make([]byte, size)
	rand.NewChaCha8(seed).Read(b)
	return b
}

const (
	smallBody = 700
	largeBody = 9000 // has a file of its own in small stores
)

// message makes a message whose content follows from its id: of every five
// one has a body of its own file, of every six one is private.
func message(id string, n int) Entry {
	e := Entry{ID: id, Meta: []byte("sender of " + id), Private: n%6 == 0, Body: bodyOf(id, smallBody+n%300)}
	if n%5 == 0 {
		e.Body = bodyOf(id, largeBody+n%300)
	}
	for p := range 1 + n%3 {
		e.Parcels = append(e.Parcels, Parcel{
			Meta:  fmt.Appendf(nil, "recipient %d of %s", p, id),
			State: State{Status: 1, Next: clock().Add(time.Duration(n) * time.Second), Note: []byte("note " + id)},
		})
	}
	return e
}

func clock() time.Time { return time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC) }

func mustKey(t testing.TB) *Key {
	t.Helper()
	k, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// small gives options for a store of small segments on fs.
func small(t testing.TB, fs FS) Options {
	t.Helper()
	return Options{
		Dir: filepath.Join(t.TempDir(), "spool"), Identity: mustKey(t), SegmentSize: 32 << 10, Limit: 8 << 20, Reserve: 1,
		FS: fs, Now: clock, Log: slog.New(slog.DiscardHandler),
	}
}

func mustOpen(t testing.TB, opt Options) *Store {
	t.Helper()
	s, err := Open(opt)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	return s
}

func mustClose(t testing.TB, s *Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
}

func mustPut(t testing.TB, s *Store, e Entry) {
	t.Helper()
	if err := s.Put(context.Background(), e); err != nil {
		t.Fatalf("Put(%s): %v", e.ID, err)
	}
}

func readBody(s *Store, id string) ([]byte, error) {
	r, err := s.OpenBody(id)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// same checks that a message is in the store as it was put.
func same(s *Store, e Entry) error {
	got, err := s.Get(e.ID)
	if err != nil {
		return err
	}
	if !bytes.Equal(got.Meta, e.Meta) || len(got.Parcels) != len(e.Parcels) || got.Private != e.Private {
		return fmt.Errorf("%s: got %+v", e.ID, got)
	}
	for i, p := range got.Parcels {
		if !bytes.Equal(p.Meta, e.Parcels[i].Meta) {
			return fmt.Errorf("%s: parcel %d: got %q", e.ID, i, p.Meta)
		}
	}
	body, err := readBody(s, e.ID)
	if err != nil {
		return err
	}
	if !bytes.Equal(body, e.Body.(text)) {
		return fmt.Errorf("%s: body differs", e.ID)
	}
	return nil
}

// ledger is what a client of the store was promised.
type ledger struct {
	mu sync.Mutex
	// held: acknowledged and must be there. open: its end was asked for and
	// not acknowledged, both is right. gone: must not be there.
	held, open map[string]Entry
	gone       map[string]bool
	attempts   map[Ref]int
}

func newLedger() *ledger {
	return &ledger{held: map[string]Entry{}, open: map[string]Entry{}, gone: map[string]bool{}, attempts: map[Ref]int{}}
}

// put puts a message and books the answer. After a power cut an answer never
// reached anybody, so nothing is promised.
func (l *ledger) put(s *Store, e Entry) error {
	err := s.Put(context.Background(), e)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err == nil:
		l.held[e.ID] = e
	case errors.Is(err, errPower):
		l.open[e.ID] = e
	default:
		l.gone[e.ID] = true
	}
	return err
}

// end books the answer to Done of all parcels or Delete.
func (l *ledger) end(id string, do func() error) error {
	err := do()
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.held[id]
	delete(l.held, id)
	if err != nil {
		l.open[id] = e
		return err
	}
	l.gone[id] = true
	return nil
}

func (l *ledger) attempt(s *Store, ref Ref) error {
	err := s.RecordAttempt(context.Background(), clock(), ref)
	if err == nil {
		l.mu.Lock()
		l.attempts[ref]++
		l.mu.Unlock()
	}
	return err
}

// check compares the whole store with what was promised.
func (l *ledger) check(t testing.TB, s *Store, when string) {
	t.Helper()
	listed := map[string]Info{}
	for info := range s.All() {
		listed[info.ID] = info
	}
	for id, e := range l.held {
		if err := same(s, e); err != nil {
			t.Errorf("%s: acknowledged message: %v", when, err)
		}
		for i, st := range listed[id].States {
			if want := l.attempts[Ref{id, i}]; st.Attempts < want {
				t.Errorf("%s: %s parcel %d: %d attempts, %d were recorded", when, id, i, st.Attempts, want)
			}
		}
	}
	for id := range listed {
		switch e, open := l.open[id]; {
		case l.gone[id]:
			t.Errorf("%s: %s is there and must not be", when, id)
		case open:
			if err := same(s, e); err != nil {
				t.Errorf("%s: message without an answer: %v", when, err)
			}
		}
	}
	if st := s.Stats(); st.Damages != 0 || st.Quarantined != 0 || st.Messages != len(listed) {
		t.Errorf("%s: stats %+v, %d messages listed", when, st, len(listed))
	}
	if t.Failed() {
		t.FailNow()
	}
}
