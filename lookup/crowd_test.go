package lookup_test

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sealpost/internal/address"
	"sealpost/lookup"
)

// A thousand addresses at once, each asked for by three messages, against a
// source that takes a second: one flight each, never more at a time than there
// are turns, and nobody else waits: neither recipients who are remembered nor
// those of another source.
func TestThousandAddressesAtOnce(t *testing.T) {
	all, known, other := people(t, 1000), parse(t, anna), parse(t, "otto@fast.example")
	cert := valid(t, -time.Hour, 1000*time.Hour)
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		asked, now, most := map[string]int{}, 0, 0
		fast := sourceFunc(func(_ context.Context, addr address.Address) lookup.Answer {
			if addr == known || strings.HasSuffix(addr.ASCIIDomain(), "fast.example") {
				return usable(cert)
			}
			return saysNone
		})
		slow := sourceFunc(func(_ context.Context, addr address.Address) lookup.Answer {
			mu.Lock()
			asked[addr.Key()]++
			now++
			most = max(most, now)
			mu.Unlock()
			time.Sleep(time.Second)
			mu.Lock()
			now--
			mu.Unlock()
			return usable(cert)
		})
		c := chain(t, lookup.ChainOptions{Timeout: time.Minute}, lookup.Link{Name: "fast", Source: fast}, lookup.Link{Name: "slow", Source: slow, Concurrency: 50})
		cache, err := lookup.NewCache(c, lookup.CacheOptions{Timeout: time.Hour, Clock: newClock(cert.NotBefore.Add(time.Hour)).now})
		if err != nil {
			t.Fatal(err)
		}
		defer cache.Close()
		cache.Lookup(context.Background(), known)
		start := time.Now()
		var found atomic.Int64
		var wait sync.WaitGroup
		for range 3 {
			for _, addr := range all {
				wait.Go(func() {
					if cache.Lookup(context.Background(), addr).Outcome == lookup.Found {
						found.Add(1)
					}
				})
			}
		}
		synctest.Wait()
		for _, addr := range []address.Address{known, other} {
			if a := cache.Lookup(context.Background(), addr); a.Outcome != lookup.Found || time.Since(start) != 0 {
				t.Errorf("%v: %v after %v", addr, a.Outcome, time.Since(start))
			}
		}
		wait.Wait()
		for key, n := range asked {
			if n != 1 {
				t.Errorf("%s was asked for %d times", key, n)
			}
		}
		if found.Load() != 3000 || len(asked) != 1000 || most != 50 || time.Since(start) != 20*time.Second {
			t.Errorf("%d found, %d asked for, %d at a time, %v", found.Load(), len(asked), most, time.Since(start))
		}
	})
}

// A busy address never waits for a source again: it is asked for ahead of time.
func TestRefreshAhead(t *testing.T) {
	addr := parse(t, anna)
	cert := valid(t, -time.Hour, 1000*time.Hour)
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		slow := sourceFunc(func(context.Context, address.Address) lookup.Answer {
			asked.Add(1)
			time.Sleep(time.Second)
			return usable(cert)
		})
		clock := newClock(cert.NotBefore.Add(time.Hour))
		cache, err := lookup.NewCache(slow, lookup.CacheOptions{Clock: clock.now})
		if err != nil {
			t.Fatal(err)
		}
		defer cache.Close()
		cache.Lookup(context.Background(), addr)
		waited := time.Now()
		for range 10 * 60 { // ten hours, a message a minute
			clock.advance(time.Minute)
			if a := cache.Lookup(context.Background(), addr); a.Outcome != lookup.Found || time.Since(waited) != 0 {
				t.Fatalf("%v after %v", a.Outcome, time.Since(waited))
			}
			time.Sleep(2 * time.Second) // the refresher, if there is one
			synctest.Wait()
			waited = time.Now()
		}
		if n, s := asked.Load(), cache.Stats(); n < 11 || n > 14 || s.Ahead != uint64(n-1) || s.Misses != 1 {
			t.Errorf("asked %d times in ten hours, %+v", n, s)
		}
		clock.advance(2 * time.Hour) // nobody writes: nobody asks
		if n := asked.Load(); n > 14 {
			t.Errorf("asked %d times", n)
		}
	})
}

// When many answers are due together, few are asked for at a time; and when the
// source is away, none is asked for again at once.
func TestRefreshAheadIsBounded(t *testing.T) {
	all := people(t, 1000)
	cert := valid(t, -time.Hour, 1000*time.Hour)
	synctest.Test(t, func(t *testing.T) {
		var down atomic.Bool
		var now, most, asked atomic.Int64
		source := sourceFunc(func(ctx context.Context, _ address.Address) lookup.Answer {
			if !down.Load() {
				return usable(cert)
			}
			asked.Add(1)
			most.Store(max(most.Load(), now.Add(1)))
			time.Sleep(time.Second)
			now.Add(-1)
			return saysDown
		})
		clock := newClock(cert.NotBefore.Add(time.Hour))
		cache, err := lookup.NewCache(source, lookup.CacheOptions{Clock: clock.now, Refreshers: 4})
		if err != nil {
			t.Fatal(err)
		}
		defer cache.Close()
		use := func() {
			t.Helper()
			for _, addr := range all {
				if a := cache.Lookup(context.Background(), addr); a.Outcome != lookup.Found || a.Stale {
					t.Fatal(a.Outcome, a.Stale)
				}
			}
		}
		use()
		down.Store(true)
		clock.advance(59 * time.Minute)
		for range 3 {
			use()
			synctest.Wait()
		}
		if most.Load() != 4 || asked.Load() != 4 {
			t.Errorf("%d asked for, %d at a time", asked.Load(), most.Load())
		}
		for range 300 {
			time.Sleep(2 * time.Second)
			use()
		}
		synctest.Wait()
		if n := asked.Load(); n != 1000 {
			t.Errorf("%d asked for within the rest", n)
		}
	})
}

// What lacks the answer of one source is asked for again soon.
func TestPartialAnswersAreShort(t *testing.T) {
	r := newRig(t, lookup.CacheOptions{})
	a := usable(valid(t, -time.Hour, 1000*time.Hour))
	a.Partial, a.Err = true, errDown
	r.says(a)
	r.want(lookup.Found, false, 1)
	r.advance(5*time.Minute - 1)
	r.want(lookup.Found, false, 1)
	r.advance(1)
	r.says(saysDown)
	r.want(lookup.Found, true, 2)
	r.advance(24 * time.Hour)
	r.want(lookup.Found, true, 3)
}
