package store_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"sealpost/directory/store"
)

// However many ask at once, each has the answer to his own question, in lists of
// his own; who goes away takes nobody with him.
func TestManyLookUpAtOnce(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		s, m := w.open(t), newMould(t, w.ca)
		const people = 50
		if _, err := s.Add(t.Context(), m.list(t, people)); err != nil {
			t.Fatal(err)
		}
		gone, leave := context.WithCancel(t.Context())
		leave()
		var callers sync.WaitGroup
		for c := range 20 {
			callers.Go(func() {
				for i := range 100 {
					who := (c*7 + i*3) % (people + 10)
					key, want := mouldName(who), 1
					switch {
					case who >= people+5:
						key, want = fmt.Sprintf("wrong\x00%d@example.org", who), 0
					case who >= people:
						want = 0
					}
					if i%10 == 0 {
						if _, err := s.Lookup(gone, []string{key}); err != nil && !errors.Is(err, context.Canceled) {
							t.Error(err)
						}
					}
					found, err := s.Lookup(t.Context(), []string{key})
					if err != nil || len(found) != 1 || len(found[0]) != want || want == 1 && found[0][0].Addresses[0] != key {
						t.Errorf("%q: %v, %v", key, found, err)
						return
					}
					if want == 1 {
						found[0][0] = store.Certificate{} // nobody else's
					}
				}
			})
		}
		callers.Wait()
	})
}

// Lookups that are under way when the store is closed end, and none begins.
func TestLookupsEndWithTheStore(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		s := w.open(t)
		var callers sync.WaitGroup
		for range 8 {
			callers.Go(func() {
				for {
					if _, err := s.Lookup(context.Background(), []string{anna}); err != nil {
						return
					}
				}
			})
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		callers.Wait()
		if _, err := s.Lookup(context.Background(), []string{anna}); !errors.Is(err, store.ErrClosed) {
			t.Error(err)
		}
	})
}
