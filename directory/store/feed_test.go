package store_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"sealpost/directory/store"
)

// A follower applies the feed, as a mirror does.
type follower struct {
	at       uint64
	has      map[string][][32]byte
	lastSeen map[string]uint64
}

func newFollower() *follower {
	return &follower{has: map[string][][32]byte{}, lastSeen: map[string]uint64{}}
}

// follow takes one page, and reports whether it was the last for now.
func (f *follower) follow(t testing.TB, s *store.Store, limit int) bool {
	t.Helper()
	changes, err := s.Changes(context.Background(), f.at, limit)
	if err != nil {
		t.Error(err)
		return true
	}
	for _, c := range changes {
		if c.Seq <= f.at {
			t.Errorf("change %d comes after %d", c.Seq, f.at)
		}
		f.at = c.Seq
		f.lastSeen[c.Address] = c.Seq
		f.has[c.Address] = prints(c.Certificates)
	}
	return len(changes) < limit
}

func prints(list []store.Certificate) [][32]byte {
	all := make([][32]byte, len(list))
	for i, c := range list {
		all[i] = c.Cert.Fingerprint()
	}
	return all
}

func TestChanges(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		s := w.open(t)
		if changes, err := s.Changes(t.Context(), 0, 10); err != nil || len(changes) != 0 {
			t.Errorf("an empty directory has changes: %v, %v", changes, err)
		}
		both := w.cert(t, anna, bob)
		add(t, s, store.New{Cert: both})
		add(t, s, store.New{Cert: w.cert(t, "carl@example.org")})
		add(t, s, store.New{Cert: w.cert(t, anna)})
		f := newFollower()
		for !f.follow(t, s, 1) {
		}
		if len(f.has) != 3 || len(f.has[anna]) != 2 || f.lastSeen[anna] != f.at || f.lastSeen[bob] >= f.lastSeen["carl@example.org"] {
			t.Errorf("%+v", f)
		}
		if seq, err := s.Sequence(t.Context()); err != nil || seq != f.at {
			t.Errorf("sequence %d, %v; the feed ends at %d", seq, err, f.at)
		}
		set(t, s, both, store.StatusRevoked)
		f.follow(t, s, 10)
		if len(f.has[anna]) != 1 || len(f.has[bob]) != 0 {
			t.Errorf("after revoking: %+v", f.has)
		}
	})
}

// That somebody is still there is told once a day, not with every message.
func TestSeenAgainIsToldOnceADay(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		w.now = w.now.Truncate(24 * time.Hour).Add(time.Hour)
		s := w.open(t)
		c := w.cert(t, anna)
		add(t, s, harvested(c, w.now))
		before, _ := s.Sequence(t.Context())
		w.now = w.now.Add(22 * time.Hour)
		add(t, s, harvested(c, w.now))
		if seq, _ := s.Sequence(t.Context()); seq != before {
			t.Error("a second message on the same day is a change")
		}
		w.now = w.now.Add(2 * time.Hour)
		add(t, s, harvested(c, w.now))
		if seq, _ := s.Sequence(t.Context()); seq == before {
			t.Error("a message on the next day is no change")
		}
	})
}

// The classic gap: a transaction takes a number, another one takes the next and
// commits first; who reads then, and goes on behind what it has read, never sees
// the first. Here the second one has to wait.
func TestSlowTransactionIsNotSkipped(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		slow, quick, reader := w.open(t), w.open(t), w.open(t)
		f := newFollower()
		written, release := make(chan struct{}), make(chan struct{})
		done := make(chan error, 1)
		go func() {
			done <- slow.AddSlowly(context.Background(), []store.New{{Cert: w.cert(t, anna), Origin: store.OriginAPI}},
				func() { close(written); <-release })
		}()
		<-written
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		if _, err := quick.Add(ctx, []store.New{{Cert: w.cert(t, bob), Origin: store.OriginAPI}}); err == nil {
			t.Error("a second writer did not wait for the first")
		} else if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a second writer: %v", err)
		}
		f.follow(t, reader, 10)
		if f.at != 0 {
			t.Errorf("what is not committed is in the feed: %+v", f)
		}
		close(release)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		add(t, quick, store.New{Cert: w.cert(t, bob)})
		f.follow(t, reader, 10)
		if len(f.has) != 2 || f.lastSeen[anna] >= f.lastSeen[bob] {
			t.Errorf("%+v", f)
		}
	})
}

// Many write at once through two handles, as on two nodes. Who follows through a
// third ends with exactly what is there, and has seen each address's last change.
func TestFeedUnderConcurrentWriters(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		nodes := []*store.Store{w.open(t), w.open(t)}
		reader := w.open(t)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		f := newFollower()
		followed := make(chan struct{})
		go func() {
			defer close(followed)
			for reader.Wait(ctx, f.at) == nil {
				f.follow(t, reader, 3)
			}
		}()
		m := newMould(t, w.ca)
		var writers sync.WaitGroup
		for i := range 8 {
			writers.Go(func() { writeAtRandom(t, nodes[i%2], m, i) })
		}
		writers.Wait()
		last, err := nodes[0].Sequence(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		<-followed
		if f.at == 0 {
			t.Error("nothing was followed while others wrote")
		}
		for !f.follow(t, reader, 3) {
		}
		if f.at != last {
			t.Errorf("followed up to %d of %d", f.at, last)
		}
		compare(t, reader, f)
	})
}

// writeAtRandom adds, revokes and holds among a few addresses.
func writeAtRandom(t testing.TB, s *store.Store, m mould, writer int) {
	rng := rand.New(rand.NewPCG(uint64(writer), 1))
	var mine [][32]byte
	for n := range 30 {
		m.name = func(int) string { return mouldName(rng.IntN(12)) }
		var list []store.New
		for range 1 + rng.IntN(3) {
			c := m.cert(t, writer<<16+n<<4+len(list))
			mine = append(mine, c.Fingerprint())
			list = append(list, store.New{Cert: c, Origin: store.OriginAPI, Supersede: rng.IntN(2) == 0})
		}
		if _, err := s.Add(context.Background(), list); err != nil {
			t.Error(err)
			return
		}
		status := []store.Status{store.StatusRevoked, store.StatusHeld, store.StatusActive}[rng.IntN(3)]
		err := s.SetStatus(context.Background(), mine[rng.IntN(len(mine))], status, "at random")
		if err != nil && !errors.Is(err, store.ErrRevoked) {
			t.Error(err)
			return
		}
	}
}

// compare holds what was followed against a fresh copy, and against Lookup.
func compare(t testing.TB, s *store.Store, f *follower) {
	t.Helper()
	fresh := newFollower()
	fresh.follow(t, s, 10000)
	if len(fresh.has) == 0 {
		t.Fatal("the feed is empty")
	}
	for addr, want := range fresh.has {
		if !slices.Equal(f.has[addr], want) || f.lastSeen[addr] != fresh.lastSeen[addr] {
			t.Errorf("%s: followed %x (%d), and there is %x (%d)", addr, f.has[addr], f.lastSeen[addr], want, fresh.lastSeen[addr])
		}
		found, err := s.Lookup(context.Background(), []string{addr})
		if err != nil || !slices.Equal(prints(found[0]), want) {
			t.Errorf("%s: Lookup gives %x, the feed %x, %v", addr, prints(found[0]), want, err)
		}
	}
}

func TestWait(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		s, other := w.open(t), w.open(t)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if err := s.Wait(ctx, 0); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("waiting in vain: %v", err)
		}
		for _, writer := range []*store.Store{s, other} { // this process, and as if it were another one
			before, err := s.Sequence(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			woken := make(chan error, 1)
			go func() { woken <- s.Wait(context.Background(), before) }()
			add(t, writer, store.New{Cert: w.cert(t, anna)})
			within(t, woken, nil)
			if err := s.Wait(t.Context(), before); err != nil {
				t.Errorf("there is something already: %v", err)
			}
		}
		seq, _ := s.Sequence(t.Context())
		woken := make(chan error, 1)
		go func() { woken <- s.Wait(context.Background(), seq) }()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		within(t, woken, store.ErrClosed)
		if _, err := s.Lookup(t.Context(), []string{anna}); !errors.Is(err, store.ErrClosed) {
			t.Errorf("lookup in a closed store: %v", err)
		}
	})
}

// within waits for an answer, and compares it.
func within(t testing.TB, answer <-chan error, want error) {
	t.Helper()
	select {
	case err := <-answer:
		if !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("nothing comes")
	}
}
