package lookup_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sealpost/internal/address"
	"sealpost/internal/certificate"
	"sealpost/internal/reason"
	"sealpost/internal/testkit"
	"sealpost/lookup"
)

// A clock stands still until it is moved.
type clock struct{ nanos atomic.Int64 }

func newClock(t time.Time) *clock {
	c := &clock{}
	c.nanos.Store(t.UnixNano())
	return c
}

func (c *clock) now() time.Time          { return time.Unix(0, c.nanos.Load()) }
func (c *clock) advance(d time.Duration) { c.nanos.Add(int64(d)) }

// A script is a source whose answer is changed by the test.
type script struct {
	answer atomic.Pointer[lookup.Answer]
	asked  atomic.Int64
}

func (s *script) says(a lookup.Answer) { s.answer.Store(&a) }

func (s *script) Lookup(context.Context, address.Address) lookup.Answer {
	s.asked.Add(1)
	return *s.answer.Load()
}

var (
	saysNone = lookup.Answer{Outcome: lookup.None, Reason: reason.NoCertificate}
	saysDown = lookup.Answer{Outcome: lookup.Unavailable, Reason: reason.LookupUnavailable, Err: errDown}
)

type rig struct {
	*testing.T
	*script
	*clock
	cache *lookup.Cache
}

// newRig has a cache with a TTL of 1 h, 5 min for None, stale for 1 day.
func newRig(t *testing.T, opts lookup.CacheOptions) *rig {
	t.Helper()
	r := &rig{T: t, script: &script{}, clock: newClock(time.Now())}
	opts.Clock = r.clock.now
	if opts.Refreshers == 0 {
		opts.Refreshers = -1 // who counts questions wants none in the background
	}
	var err error
	if r.cache, err = lookup.NewCache(r.script, opts); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.cache.Close)
	return r
}

// want looks up and checks the outcome, staleness, and how often the source
// had been asked by then.
func (r *rig) want(outcome lookup.Outcome, stale bool, asked int64) lookup.Answer {
	r.Helper()
	a := r.cache.Lookup(context.Background(), parse(r, anna))
	if a.Outcome != outcome || a.Stale != stale || r.asked.Load() != asked {
		r.Errorf("%v, stale %v, asked %d times; want %v, %v, %d", a.Outcome, a.Stale, r.asked.Load(), outcome, stale, asked)
	}
	if n := len(a.Usable(0)); n > 0 != (outcome == lookup.Found) {
		r.Errorf("%v with %d usable certificates", a.Outcome, n)
	}
	return a
}

// valid makes a certificate with the given validity, counted from now.
func valid(t testing.TB, from, to time.Duration) *certificate.Certificate {
	now := time.Now().Truncate(time.Second)
	return issue(t, testkit.NewCA(t), testkit.Leaf{Addresses: []string{anna}, Key: "p256", NotBefore: now.Add(from), NotAfter: now.Add(to)})
}

func TestCacheFound(t *testing.T) {
	r := newRig(t, lookup.CacheOptions{})
	r.says(usable(valid(t, -time.Hour, 1000*time.Hour)))
	r.want(lookup.Found, false, 1)
	r.advance(time.Hour - 1)
	r.says(saysNone)
	r.want(lookup.Found, false, 1)
	r.advance(1)
	r.want(lookup.None, false, 2)
	if s := r.cache.Stats(); s.Hits != 1 || s.Misses != 2 || s.Stale != 0 || s.Errors != 0 || s.Entries != 1 {
		t.Errorf("%+v", s)
	}
}

func TestCacheNone(t *testing.T) {
	r := newRig(t, lookup.CacheOptions{})
	r.says(saysNone)
	r.want(lookup.None, false, 1)
	r.says(saysDown)
	r.advance(5*time.Minute - 1)
	r.want(lookup.None, false, 1)
	r.advance(1)
	r.want(lookup.Unavailable, false, 2) // a stale None is none
	r.want(lookup.Unavailable, false, 3)
	if s := r.cache.Stats(); s.Errors != 2 {
		t.Errorf("%+v", s)
	}
}

func TestCacheStale(t *testing.T) {
	r := newRig(t, lookup.CacheOptions{})
	a := usable(valid(t, -time.Hour, 1000*time.Hour))
	a.Source = "corp"
	r.says(a)
	r.want(lookup.Found, false, 1)
	r.says(saysDown)
	r.advance(2 * time.Hour)
	if got := r.want(lookup.Found, true, 2); !errors.Is(got.Err, errDown) {
		t.Errorf("error %v", got.Err)
	}
	r.advance(15*time.Second - 1)
	if got := r.want(lookup.Found, true, 2); !errors.Is(got.Err, errDown) { // not hammered
		t.Errorf("error %v", got.Err)
	}
	r.advance(1)
	r.want(lookup.Found, true, 3)
	r.says(a)
	r.advance(15 * time.Second)
	r.want(lookup.Found, false, 4) // it is back
	r.says(saysDown)
	r.advance(25*time.Hour - 1)
	r.want(lookup.Found, true, 5)
	r.advance(1)
	r.want(lookup.Unavailable, false, 6)
	if s := r.cache.Stats(); s.Stale != 4 || s.StaleBySource["corp"] != 4 || s.Errors != 4 {
		t.Errorf("%+v", s)
	}
}

func TestCacheStaleOff(t *testing.T) {
	r := newRig(t, lookup.CacheOptions{Stale: -1})
	r.says(usable(valid(t, -time.Hour, 1000*time.Hour)))
	r.want(lookup.Found, false, 1)
	r.says(saysDown)
	r.advance(time.Hour)
	r.want(lookup.Unavailable, false, 2)
}

// What came while the sources were down replaces what is stale, whatever it is.
func TestCacheNoneReplacesStale(t *testing.T) {
	r := newRig(t, lookup.CacheOptions{})
	r.says(usable(valid(t, -time.Hour, 1000*time.Hour)))
	r.want(lookup.Found, false, 1)
	r.advance(2 * time.Hour)
	r.says(saysNone)
	r.want(lookup.None, false, 2)
	r.says(saysDown)
	r.advance(5 * time.Minute)
	r.want(lookup.Unavailable, false, 3)
}

// A certificate that expires in the cache is not used a moment longer.
func TestCacheExpiry(t *testing.T) {
	r := newRig(t, lookup.CacheOptions{})
	short, long := valid(t, -2*time.Hour, 10*time.Minute), valid(t, -time.Hour, 1000*time.Hour)
	r.says(usable(short, long))
	if n := len(r.want(lookup.Found, false, 1).Usable(0)); n != 2 {
		t.Errorf("%d usable", n)
	}
	r.says(saysDown)
	r.advance(10 * time.Minute)
	got := r.want(lookup.Found, true, 2)
	if u := got.Usable(0); len(u) != 1 || u[0] != long {
		t.Errorf("%d usable", len(u))
	}
	if n, ok := got.Nearest(); !ok || n.Cert != short || n.Reason != reason.CertificateExpired {
		t.Errorf("nearest %q", n.Reason)
	}

	r = newRig(t, lookup.CacheOptions{})
	r.says(usable(short))
	r.want(lookup.Found, false, 1)
	r.says(saysDown)
	r.advance(10 * time.Minute)
	r.want(lookup.Unavailable, false, 2)
}

// A certificate that becomes valid is noticed although None is remembered, and
// one that is not valid yet after the clock was set back is not used.
func TestCacheNotBefore(t *testing.T) {
	r := newRig(t, lookup.CacheOptions{NegativeTTL: time.Hour})
	c := valid(t, 10*time.Minute, 1000*time.Hour)
	early := found(c)
	early.Outcome, early.Candidates[0].Reason = lookup.None, reason.CertificateNotYetValid
	r.says(early)
	r.want(lookup.None, false, 1)
	r.says(usable(c))
	r.advance(10 * time.Minute)
	r.want(lookup.Found, false, 2)
	r.says(saysDown)
	r.advance(-11 * time.Minute)
	r.want(lookup.Unavailable, false, 3)
}

func TestCacheBounded(t *testing.T) {
	r := newRig(t, lookup.CacheOptions{Entries: 10})
	r.says(saysNone)
	for i := range 100 {
		r.cache.Lookup(context.Background(), parse(t, fmt.Sprintf("a%d@example.org", i)))
	}
	if n := r.cache.Stats().Entries; n != 10 {
		t.Errorf("%d entries", n)
	}
}

func TestCacheOneMailbox(t *testing.T) {
	r := newRig(t, lookup.CacheOptions{})
	r.says(saysNone)
	for _, s := range []string{"anna@bücher.example", "anna@xn--bcher-kva.example", "anna@XN--Bcher-kva.example", `"anna"@bücher.example`, "anna@BÜCHER.example"} {
		r.cache.Lookup(context.Background(), parse(t, s))
	}
	if n := r.asked.Load(); n != 1 {
		t.Errorf("asked %d times for one mailbox", n)
	}
	r.cache.Lookup(context.Background(), parse(t, "Anna@bücher.example"))
	if n := r.asked.Load(); n != 2 {
		t.Errorf("asked %d times for two mailboxes", n)
	}
}

func TestCacheFlushAndRefresh(t *testing.T) {
	r := newRig(t, lookup.CacheOptions{})
	r.says(saysNone)
	r.want(lookup.None, false, 1)
	r.says(usable(valid(t, -time.Hour, time.Hour)))
	if a := r.cache.Refresh(context.Background(), parse(t, anna)); a.Outcome != lookup.Found {
		t.Errorf("refreshed: %v", a.Outcome)
	}
	r.want(lookup.Found, false, 2)
	r.says(saysDown)
	if a := r.cache.Refresh(context.Background(), parse(t, anna)); a.Outcome != lookup.Unavailable {
		t.Errorf("refreshed: %v", a.Outcome)
	}
	r.want(lookup.Found, false, 3)
	r.cache.Flush(parse(t, anna))
	r.want(lookup.Unavailable, false, 4)
}

// One flight for all who ask; who leaves does not end it for the others.
func TestCacheOneFlight(t *testing.T) {
	addr := parse(t, anna)
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		slow := sourceFunc(func(ctx context.Context, _ address.Address) lookup.Answer {
			asked.Add(1)
			select {
			case <-ctx.Done():
				return lookup.Answer{Err: ctx.Err()}
			case <-time.After(time.Second):
				return saysNone
			}
		})
		c, err := lookup.NewCache(slow, lookup.CacheOptions{})
		if err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		for i := range 100 {
			all.Go(func() {
				ctx, cancel := context.WithTimeout(context.Background(), time.Duration(i+1)*30*time.Millisecond)
				defer cancel()
				a := c.Lookup(ctx, addr)
				if want := i+1 > 33; (a.Outcome == lookup.None) != want || (a.Outcome == lookup.Unavailable) == want {
					t.Errorf("after %d ms: %v", (i+1)*30, a.Outcome)
				}
			})
		}
		all.Wait()
		if n := asked.Load(); n != 1 {
			t.Errorf("asked %d times", n)
		}
		c.Close()
	})
}

// What was flushed while it was being looked up is not remembered.
func TestCacheFlushDuringFlight(t *testing.T) {
	addr := parse(t, anna)
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		slow := sourceFunc(func(context.Context, address.Address) lookup.Answer {
			asked.Add(1)
			time.Sleep(time.Second)
			return saysNone
		})
		c, err := lookup.NewCache(slow, lookup.CacheOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		go c.Lookup(context.Background(), addr)
		synctest.Wait()
		c.Flush(addr)
		c.Lookup(context.Background(), addr)
		c.Lookup(context.Background(), addr)
		if n := asked.Load(); n != 2 {
			t.Errorf("asked %d times", n)
		}
	})
}

func TestCacheClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := lookup.NewCache(hangs, lookup.CacheOptions{})
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan lookup.Answer)
		go func() { done <- c.Lookup(context.Background(), address.Address{}) }()
		synctest.Wait()
		c.Close()
		<-done
		if a := c.Lookup(context.Background(), address.Address{}); a.Outcome == lookup.Found {
			t.Errorf("after Close: %v", a.Outcome)
		}
	})
}

func BenchmarkCacheHit(b *testing.B) {
	source := always(usable(valid(b, -time.Hour, time.Hour)))
	c, err := lookup.NewCache(source, lookup.CacheOptions{})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	addr := parse(b, anna)
	b.ReportAllocs()
	for b.Loop() {
		if a := c.Lookup(context.Background(), addr); a.Outcome != lookup.Found {
			b.Fatal(a.Outcome)
		}
	}
}

// What an older cache found helps while the source is down, and only then.
func TestCacheInherits(t *testing.T) {
	old := newRig(t, lookup.CacheOptions{})
	old.says(usable(valid(t, -time.Hour, time.Hour)))
	old.want(lookup.Found, false, 1)

	heir := newRig(t, lookup.CacheOptions{})
	heir.cache.Inherit(old.cache)
	heir.says(saysDown)
	heir.want(lookup.Found, true, 1)
	heir.advance(time.Minute)
	heir.says(saysNone)
	heir.want(lookup.None, false, 2)

	next := newRig(t, lookup.CacheOptions{})
	next.cache.Inherit(heir.cache)
	next.says(saysDown)
	next.want(lookup.Unavailable, false, 1)
}
