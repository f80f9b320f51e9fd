package store_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"sealpost/directory/store"
)

func always([]store.Notice) bool { return true }

// noticeFor provisions an address and stores a notice for it.
func noticeFor(t testing.TB, w *world, s *store.Store, addr, id string, change ...func(*store.NewKey)) *store.Notice {
	t.Helper()
	k := w.newKey(t, addr)
	for _, c := range change {
		c(&k)
	}
	provision(t, s, k)
	n := &store.Notice{ID: id, Fingerprint: k.Cert.Fingerprint(), Address: addr, Kind: store.NoticeFirst, References: []string{"R-1", "R\x002"},
		Language: "zh", Sender: "bank@example.com", Expires: w.now.Add(time.Hour)}
	if added, err := s.AddNotice(context.Background(), n, always); err != nil || !added {
		t.Fatalf("%v, %v", added, err)
	}
	return n
}

func attempt(id, address, code string, session byte) store.ClaimAttempt {
	return store.ClaimAttempt{
		Notice: id, Address: address, Most: 3, Actor: "portal", Match: func(n *store.Notice) bool { return code == "code of "+n.ID },
		Session: store.ClaimSession{Hash: [32]byte{session}, Expires: time.Now().Add(time.Hour)},
		Prove:   func(c store.ClaimSession) [32]byte { return [32]byte{c.Hash[0], 7} },
	}
}

func TestNoticeIsSentOnce(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		s, other := w.open(t), w.open(t)
		n := noticeFor(t, w, s, anna, "a1")
		if left, err := s.Unannounced(t.Context(), 10); err != nil || len(left) != 0 {
			t.Errorf("unannounced: %v, %v", left, err)
		}
		due, err := s.DueNotices(t.Context(), 10)
		if err != nil || len(due) != 1 || due[0].ID != n.ID || due[0].References[1] != "R 2" || due[0].Language != "zh" || due[0].Fingerprint != n.Fingerprint {
			t.Fatalf("%+v, %v", due, err)
		}
		var taken sync.WaitGroup
		got := make(chan error, 8)
		for i := range 8 {
			taken.Go(func() {
				_, err := []*store.Store{s, other}[i%2].TakeNotice(t.Context(), n.ID, w.now.Add(time.Minute))
				got <- err
			})
		}
		taken.Wait()
		first := 0
		for range 8 {
			if err := <-got; err == nil {
				first++
			} else if !errors.Is(err, store.ErrNoNotice) {
				t.Error(err)
			}
		}
		if first != 1 {
			t.Errorf("%d nodes send it", first)
		}
		w.now = w.now.Add(time.Minute) // the one that took it has died
		again, err := other.TakeNotice(t.Context(), n.ID, w.now.Add(time.Minute))
		if err != nil || again.Attempts != 2 {
			t.Fatalf("%+v, %v", again, err)
		}
		if err := other.NoticeFailed(t.Context(), n.ID, w.now.Add(time.Second), "no\nroute"); err != nil {
			t.Fatal(err)
		}
		if n, err := s.Notice(t.Context(), n.ID); err != nil || n.Trouble != "no route" || !n.Due.Equal(w.now.Add(time.Second)) || !n.Sent.IsZero() {
			t.Errorf("%+v, %v", n, err)
		}
		if err := s.NoticeSent(t.Context(), n.ID); err != nil {
			t.Fatal(err)
		}
		if n, err := other.Notice(t.Context(), n.ID); err != nil || !n.Due.IsZero() || !n.Sent.Equal(w.now) || n.Trouble != "" {
			t.Errorf("%+v, %v", n, err)
		}
		if _, err := s.Notice(t.Context(), "a2\x00"); !errors.Is(err, store.ErrNoNotice) {
			t.Error(err)
		}
	})
}

// However many nodes store the first notice of a key at once, there is one.
func TestOneFirstNotice(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		stores := []*store.Store{w.open(t), w.open(t)}
		k := w.newKey(t, anna)
		provision(t, stores[0], k)
		if left, err := stores[1].Unannounced(t.Context(), 10); err != nil || len(left) != 1 || left[0].Address != anna || left[0].Wrapped != nil {
			t.Fatalf("unannounced: %v, %v", left, err)
		}
		reminded := func(before time.Time, most int) int {
			list, err := stores[0].Unreminded(t.Context(), before, most, 10)
			if err != nil {
				t.Fatal(err)
			}
			return len(list)
		}
		if n := reminded(w.now, 3); n != 0 {
			t.Errorf("%d are to be reminded of nothing", n)
		}
		var group sync.WaitGroup
		for i := range 10 {
			group.Go(func() {
				n := &store.Notice{ID: fmt.Sprint(i), Fingerprint: k.Cert.Fingerprint(), Address: anna, Kind: store.NoticeFirst, Expires: w.now.Add(time.Hour)}
				if _, err := stores[i%2].AddNotice(t.Context(), n, func(before []store.Notice) bool { return len(before) == 0 }); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		list, err := stores[0].Notices(t.Context(), anna)
		if err != nil || len(list) != 1 {
			t.Fatalf("%d notices, %v", len(list), err)
		}
		if n := reminded(w.now, 3); n != 0 {
			t.Errorf("%d are to be reminded of what waits to be sent", n)
		}
		if err := stores[0].NoticeSent(t.Context(), list[0].ID); err != nil {
			t.Fatal(err)
		}
		for i, n := range []int{reminded(w.now.Add(-time.Second), 3), reminded(w.now, 3), reminded(w.now, 0)} {
			if n != i%2 {
				t.Errorf("case %d: %d are to be reminded", i, n)
			}
		}
	})
}

func TestUseNotice(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		s := w.open(t)
		n := noticeFor(t, w, s, anna, "a1")
		for i := range 3 {
			got, err := s.UseNotice(t.Context(), attempt(n.ID, "", "wrong", 1))
			if !errors.Is(err, store.ErrCode) || got.Tries != i+1 {
				t.Errorf("%d: %+v, %v", i, got, err)
			}
		}
		for _, code := range []string{"wrong", "code of a1"} {
			if _, err := s.UseNotice(t.Context(), attempt(n.ID, "", code, 1)); !errors.Is(err, store.ErrUsedUp) {
				t.Errorf("the fourth: %v", err)
			}
		}
		for _, addr := range []string{anna, "nobody@example.org", "\x00"} {
			if _, err := s.UseNotice(t.Context(), attempt("", addr, "wrong", 1)); addr != "\x00" && !errors.Is(err, store.ErrCode) {
				t.Errorf("%s: %v", addr, err)
			}
		}
		if _, err := s.UseNotice(t.Context(), attempt("a2", "", "wrong", 1)); !errors.Is(err, store.ErrNoNotice) {
			t.Errorf("no notice: %v", err)
		}
		if _, err := s.ClaimSession(t.Context(), [32]byte{1}); !errors.Is(err, store.ErrNoSession) {
			t.Errorf("a wrong code has begun a session: %v", err)
		}
		if got, err := s.UseNotice(t.Context(), attempt("", anna, "code of a1", 2)); err != nil || got.ID != n.ID {
			t.Fatalf("%+v, %v", got, err)
		}
		c, err := s.ClaimSession(t.Context(), [32]byte{2})
		if err != nil || c.Complete || c.Notice.ID != n.ID || !c.Notice.Used.Equal(w.now) || c.Notice.Guesses != 1 {
			t.Errorf("%+v, %v", c, err)
		}
		if _, err := s.UseNotice(t.Context(), attempt(n.ID, "", "code of a1", 3)); !errors.Is(err, store.ErrNoticeUsed) {
			t.Errorf("again: %v", err)
		}
		noticeFor(t, w, s, "bert@example.net", "b1")
		w.now = w.now.Add(time.Hour)
		if _, err := s.UseNotice(t.Context(), attempt("b1", "", "code of b1", 3)); !errors.Is(err, store.ErrNoticeExpired) {
			t.Errorf("after its time: %v", err)
		}
		if _, err := s.VerifyAudit(t.Context(), nil); err != nil {
			t.Error(err)
		}
	})
}

// A session whose second factor is proven has another secret; the one before is
// gone. Answers are counted over all nodes before they are compared.
func TestClaimSessions(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		s, other := w.open(t), w.open(t)
		noticeFor(t, w, s, anna, "a1")
		if _, err := s.UseNotice(t.Context(), attempt("a1", "", "code of a1", 1)); err != nil {
			t.Fatal(err)
		}
		old, fresh := [32]byte{1}, store.ClaimSession{Hash: [32]byte{2}}
		for i, want := range []int{1, 0} {
			if left, err := []*store.Store{s, other}[i].CountAnswer(t.Context(), old, 2, 10); err != nil || left != want {
				t.Errorf("answer %d: %d left, %v", i, left, err)
			}
		}
		if _, err := s.CountAnswer(t.Context(), old, 2, 10); !errors.Is(err, store.ErrUsedUp) {
			t.Errorf("a third answer: %v", err)
		}
		if _, err := s.CountAnswer(t.Context(), old, 10, 2); !errors.Is(err, store.ErrUsedUp) {
			t.Errorf("a third answer of the key: %v", err)
		}
		if err := other.CompleteClaim(t.Context(), old, fresh); err != nil {
			t.Fatal(err)
		}
		if err := s.CompleteClaim(t.Context(), old, fresh); !errors.Is(err, store.ErrNoSession) {
			t.Errorf("twice: %v", err)
		}
		c, err := s.ClaimSession(t.Context(), fresh.Hash)
		if err != nil || !c.Complete || c.Notice.Answers != 1 {
			t.Errorf("%+v, %v", c, err)
		}
		if err := s.EndClaimSession(t.Context(), fresh.Hash); err != nil {
			t.Fatal(err)
		}
		for _, hash := range [][32]byte{old, fresh.Hash} {
			if _, err := other.CountAnswer(t.Context(), hash, 2, 10); !errors.Is(err, store.ErrNoSession) {
				t.Errorf("after the end: %v", err)
			}
		}
		// Without a second factor there is nothing left to prove, and sessions end.
		noticeFor(t, w, s, "bert@example.net", "b1", func(k *store.NewKey) { k.Secret = "" })
		if _, err := s.UseNotice(t.Context(), attempt("b1", "", "code of b1", 5)); err != nil {
			t.Fatal(err)
		}
		if c, err := s.ClaimSession(t.Context(), [32]byte{5}); err != nil || !c.Complete {
			t.Errorf("%+v, %v", c, err)
		}
		w.now = w.now.Add(2 * time.Hour)
		if _, err := s.ClaimSession(t.Context(), [32]byte{5}); !errors.Is(err, store.ErrNoSession) {
			t.Errorf("after its time: %v", err)
		}
		if err := s.SweepClaimSessions(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.now = w.now.Add(-2 * time.Hour)
		if _, err := s.ClaimSession(t.Context(), [32]byte{5}); !errors.Is(err, store.ErrNoSession) {
			t.Errorf("after it was swept: %v", err)
		}
	})
}

// A caller who leaves at any moment, also the one in which the transaction
// begins, leaves nobody behind who cannot write.
func TestCallersWhoLeave(t *testing.T) {
	s := newWorld(t, kinds[0]).open(t) // PostgreSQL's driver closes such a connection
	for i := range 3000 {
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { defer close(done); _ = s.EndClaimSession(ctx, [32]byte{byte(i)}) }() // it ends with the write or without
		for range rand.IntN(60) {
			runtime.Gosched()
		}
		cancel()
		<-done
		if err := s.EndClaimSession(t.Context(), [32]byte{1}); err != nil {
			t.Fatalf("after %d: %v", i, err)
		}
	}
}
