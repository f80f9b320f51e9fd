package lookup_test

import (
	"context"
	"errors"
	"log/slog"
	"math/rand"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"sealpost/internal/address"
	"sealpost/internal/certificate"
	"sealpost/internal/testkit"
	"sealpost/lookup"
)

// What a source of the property test can do.
const (
	isDown = iota
	isLate // says None when nobody listens any more
	sendsNothing
	panics
	hasNone
	lies       // with somebody else's certificate
	halfReads  // an expired certificate, beside something unreadable
	hasShort   // a certificate for half an hour
	hasDay     // one for a day
	hasForever // one for years
	behaviours
)

// An actor is a source that behaves as it is told.
type actor struct {
	does  int
	asked atomic.Bool
	world *world
}

func (a *actor) Lookup(ctx context.Context, _ address.Address) lookup.Answer {
	a.asked.Store(true)
	switch a.does {
	case isLate:
		<-ctx.Done()
		return saysNone
	case isDown:
		return saysDown
	case sendsNothing:
		return lookup.Answer{}
	case panics:
		panic("as told")
	case hasNone:
		return saysNone
	case halfReads:
		answer := found(a.world.certs[halfReads])
		answer.Err = certificate.ErrTruncated
		return answer
	}
	return found(a.world.certs[a.does])
}

// truth is what the source amounts to at this moment.
func (a *actor) truth() lookup.Outcome {
	switch {
	case a.does == hasNone:
		return lookup.None
	case a.does < hasShort:
		return lookup.Unavailable
	case a.world.clock.now().Before(a.world.certs[a.does].NotAfter):
		return lookup.Found
	}
	return lookup.None // it has expired
}

// truth is what those sources amount to that were asked since the last call; the
// others, a breaker's doing, are unavailable. asked is false when none was.
func (w *world) truth() (all lookup.Outcome, asked bool) {
	all = lookup.None
	for _, a := range w.actors {
		was := a.asked.Swap(false)
		asked = asked || was
		switch truth := a.truth(); {
		case all == lookup.Found:
		case was && truth == lookup.Found:
			all = lookup.Found
		case !was || truth == lookup.Unavailable:
			all = lookup.Unavailable
		}
	}
	return all, asked
}

// known is what the sources said with authority of the address.
type known struct {
	outcome lookup.Outcome // last; Unavailable: nothing, or it was flushed
	at      time.Time
	failed  bool        // a later attempt found them unavailable
	found   []time.Time // when an answer Found was given that memory or the file may still hold
	touched bool        // since the start the file has been told something:
	filed   time.Time   // when the answer Found was given that it was told of; zero: to forget
}

const (
	propertyTTL      = time.Hour
	propertyNegative = 5 * time.Minute
	propertyStale    = 3 * time.Hour
)

// whiles are what may pass between two steps: less and more than each of the
// times that matter.
var whiles = []time.Duration{time.Second, 16 * time.Second, 4 * time.Minute, 6 * time.Minute, 29 * time.Minute, 31 * time.Minute, 52 * time.Minute, 61 * time.Minute, 4 * time.Hour}

// No state of the sources, of the breakers, of the cache and of its file turns
// a failure into None: None is what all sources say now, or said within the
// negative TTL to this very process. And no state makes a certificate usable
// that is not valid, or not known.
func TestNoFailureBecomesNone(t *testing.T) {
	ca := testkit.NewCA(t)
	start := time.Now().Truncate(time.Second)
	until := func(addr string, d time.Duration) *certificate.Certificate {
		return issue(t, ca, testkit.Leaf{Addresses: []string{addr}, Key: "p256", NotBefore: start.Add(-24 * time.Hour), NotAfter: start.Add(d)})
	}
	certs := map[int]*certificate.Certificate{
		lies: until("mallory@example.org", 1e5*time.Hour), halfReads: until(anna, -time.Hour),
		hasShort: until(anna, 30*time.Minute), hasDay: until(anna, 24*time.Hour), hasForever: until(anna, 1e5*time.Hour),
	}
	addr, others := parse(t, anna), people(t, 3)
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		rapid.Check(inBubble{t}, func(t *rapid.T) {
			w := &world{clock: newClock(start), certs: certs}
			w.draw(t, dir)
			w.open(t)
			defer func() { w.close(t) }()
			for range rapid.IntRange(10, 40).Draw(t, "steps") {
				w.step(t, addr, others)
			}
		})
	})
}

// inBubble is a test whose deadline, being outside of its time, rapid must not
// ask for.
type inBubble struct{ *testing.T }

// A world is the sources, the clock, the certificates, and what is built of
// them, in one run.
type world struct {
	clock   *clock
	certs   map[int]*certificate.Certificate
	actors  []*actor
	opts    lookup.ChainOptions
	path    string // of the cache file; empty: none
	memory  int
	damaged bool // the file, once

	chain *lookup.Chain
	cache *lookup.Cache
	file  *lookup.CacheFile
	known known
}

// draw chooses one to three sources, and how they are put together.
func (w *world) draw(t *rapid.T, dir string) {
	for range rapid.IntRange(1, 3).Draw(t, "sources") {
		w.actors = append(w.actors, &actor{does: rapid.IntRange(0, behaviours-1).Draw(t, "does"), world: w})
	}
	w.opts = lookup.ChainOptions{
		All: rapid.Bool().Draw(t, "all"), Failures: rapid.SampledFrom([]int{-1, 1, 2, 5}).Draw(t, "failures"),
		Timeout: 10 * time.Millisecond, Clock: w.clock.now, Log: slog.New(slog.DiscardHandler),
	}
	w.memory = rapid.SampledFrom([]int{1, 100}).Draw(t, "memory")
	if rapid.IntRange(0, 3).Draw(t, "file") == 0 {
		w.path = filepath.Join(dir, "cache")
		for _, p := range []string{w.path, w.path + ".damaged"} {
			if err := os.RemoveAll(p); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// link puts the sources together as a relay does.
func (w *world) link(t *rapid.T) {
	var links []lookup.Link
	for i, a := range w.actors {
		judged, err := lookup.NewTrusted(a, lookup.TrustOptions{Vouch: lookup.Itself, Clock: w.clock.now})
		if err != nil {
			t.Fatal(err)
		}
		links = append(links, lookup.Link{Name: string(rune('a' + i)), Source: judged})
	}
	var err error
	if w.chain, err = lookup.NewChain(w.opts, links...); err != nil {
		t.Fatal(err)
	}
}

func (w *world) open(t *rapid.T) {
	w.link(t)
	var err error
	if w.path != "" {
		w.file, err = lookup.OpenCacheFileNoSync(lookup.CacheFileOptions{Path: w.path, Interval: 1000 * time.Hour, Clock: w.clock.now, Log: w.opts.Log})
		if err != nil {
			t.Fatal(err)
		}
	}
	w.cache = w.newCache(t)
}

func (w *world) newCache(t *rapid.T) *lookup.Cache {
	cache, err := lookup.NewCache(w.chain, lookup.CacheOptions{
		Entries: w.memory, TTL: propertyTTL, NegativeTTL: propertyNegative, Stale: propertyStale, File: w.file, Clock: w.clock.now,
	})
	if err != nil {
		t.Fatal(err)
	}
	return cache
}

func (w *world) close(t *rapid.T) {
	w.cache.Close()
	if w.file != nil {
		if err := w.file.Close(); err != nil && !w.damaged {
			t.Fatal(err)
		}
	}
}

// settle waits until what is done in the background is over, also what has to
// run into a time-out. It takes no time, and the world's clock stands still. It
// is short, because rapid ends its work after a day.
func settle() {
	time.Sleep(100 * time.Millisecond)
	synctest.Wait()
}

// step is one thing that happens.
func (w *world) step(t *rapid.T, addr address.Address, others []address.Address) {
	switch rapid.IntRange(0, 15).Draw(t, "step") {
	case 0, 1, 2:
		w.clock.advance(rapid.SampledFrom(whiles).Draw(t, "while"))
	case 3, 4:
		a := rapid.SampledFrom(w.actors).Draw(t, "source")
		a.does = rapid.IntRange(0, behaviours-1).Draw(t, "does")
	case 5:
		w.cache.Flush(addr)
		w.known.outcome, w.known.failed, w.known.touched, w.known.filed = lookup.Unavailable, false, true, time.Time{}
		if w.file == nil {
			w.known.found = nil
		}
	case 6: // breakers open, memory is full, the clock ticks
		w.cache.Lookup(context.Background(), rapid.SampledFrom(others).Draw(t, "other"))
		settle()
		w.truth()
	case 7:
		w.reload(t)
	case 8:
		w.restart(t)
	case 9:
		if w.file != nil {
			err := w.file.Sync()
			if err != nil && !w.damaged {
				t.Fatal(err)
			}
			if err == nil {
				w.synced()
			}
		}
	default:
		before := w.cache.Stats()
		answer := w.cache.Lookup(context.Background(), addr)
		settle()
		after := w.cache.Stats()
		w.check(t, answer, after.Misses > before.Misses, after.Ahead > before.Ahead)
	}
}

// synced: the file holds what was said last, and nothing else.
func (w *world) synced() {
	if !w.known.touched {
		return
	}
	w.known.found = nil
	if !w.known.filed.IsZero() {
		w.known.found = []time.Time{w.known.filed}
	}
}

// reload builds the sources anew, and goes on with the cache, or with what it
// had found.
func (w *world) reload(t *rapid.T) {
	w.link(t)
	if rapid.Bool().Draw(t, "exchange") {
		w.cache.Exchange(w.chain, nil)
		return
	}
	old := w.cache
	w.cache = w.newCache(t)
	w.cache.Inherit(old)
	old.LeaveFile()
	old.Close()
	w.known.outcome, w.known.failed = lookup.Unavailable, false
}

// restart ends the process, in order or not, and may damage the file.
func (w *world) restart(t *rapid.T) {
	if w.file == nil {
		w.close(t)
		w.known = known{}
		w.open(t)
		return
	}
	if rapid.Bool().Draw(t, "crash") {
		w.cache.Close()
		w.file.Crash()
	} else {
		w.close(t)
		if !w.damaged {
			w.synced()
		}
	}
	if rapid.IntRange(0, 3).Draw(t, "damage") == 0 && !underRace {
		damage(t, w.path, rapid.Int64().Draw(t, "seed"))
		w.damaged = true
	}
	w.known = known{found: w.known.found}
	w.open(t)
}

// damage changes bytes of a file at random, or cuts it.
func damage(t *rapid.T, path string, seed int64) {
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return // it was damaged before, and moved aside
	}
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewSource(seed))
	if r.Intn(3) == 0 {
		data = data[:r.Intn(len(data))]
	}
	for range min(r.Intn(50), len(data)) {
		data[r.Intn(len(data))] ^= byte(1 + r.Intn(255))
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// check holds one answer against what is known, and notes what is known after
// it. flown says that the caller waited for the sources, ahead that they were
// asked behind its back.
func (w *world) check(t *rapid.T, a lookup.Answer, flown, ahead bool) {
	k, now := &w.known, w.clock.now()
	truth, asked := w.truth()
	if asked && !flown && !ahead {
		t.Fatal("the sources were asked, and nobody wanted to know")
	}
	if flown {
		w.learn(truth, now)
	}
	within := func(d time.Duration) bool {
		return slices.ContainsFunc(k.found, func(at time.Time) bool { return now.Sub(at) < d })
	}
	switch {
	case a.Outcome == lookup.None:
		if k.outcome != lookup.None || flown && truth != lookup.None || now.Sub(k.at) >= propertyNegative {
			t.Fatalf("None, although last known was %v, %v ago (asked now: %v)", k.outcome, now.Sub(k.at), flown)
		}
	case a.Outcome == lookup.Found && !a.Stale:
		if flown && truth != lookup.Found || !within(propertyTTL) {
			t.Fatalf("Found, although the sources say %v (asked now: %v), and were right %v; now %v, %+v", truth, flown, k.found, now, a)
		}
	case a.Outcome == lookup.Found:
		if flown && truth != lookup.Unavailable || !within(propertyTTL+propertyStale) {
			t.Fatalf("stale, although the sources say %v (asked now: %v), and were right %v", truth, flown, k.found)
		}
	case flown && truth != lookup.Unavailable:
		t.Fatalf("Unavailable, although the sources say %v", truth)
	}
	if a.Outcome != lookup.None && k.outcome == lookup.None && !k.failed && now.Sub(k.at) < propertyNegative && w.memory > 1 {
		t.Fatalf("%v, although None was said %v ago", a.Outcome, now.Sub(k.at))
	}
	w.checkUsable(t, a, now)
	if ahead {
		w.learn(truth, now)
	}
}

// learn notes what a flight has brought.
func (w *world) learn(truth lookup.Outcome, now time.Time) {
	k := &w.known
	if truth == lookup.Unavailable {
		k.failed = true
		return
	}
	k.outcome, k.at, k.failed, k.touched, k.filed = truth, now, false, true, time.Time{}
	if w.file == nil {
		k.found = nil
	}
	if truth == lookup.Found {
		k.found, k.filed = append(k.found, now), now
	}
}

func (w *world) checkUsable(t *rapid.T, a lookup.Answer, now time.Time) {
	usable := a.Usable(0)
	if len(usable) > 0 != (a.Outcome == lookup.Found) {
		t.Fatalf("%v with %d usable certificates", a.Outcome, len(usable))
	}
	for _, c := range usable {
		if !now.Before(c.NotAfter) || c.Addresses[0] != anna {
			t.Fatalf("usable: %s until %v, now %v", c.Subject, c.NotAfter, now)
		}
	}
}
