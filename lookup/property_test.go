package lookup_test

import (
	"context"
	"log/slog"
	"testing"
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
	asked bool
	world *world
}

// A world is the sources, the clock and the certificates of one run.
type world struct {
	clock  *clock
	actors []*actor
	certs  map[int]*certificate.Certificate
}

func (a *actor) Lookup(context.Context, address.Address) lookup.Answer {
	a.asked = true
	switch a.does {
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

// truth is what all sources together amount to.
func (w *world) truth() lookup.Outcome {
	all := lookup.None
	for _, a := range w.actors {
		switch a.truth() {
		case lookup.Found:
			return lookup.Found
		case lookup.Unavailable:
			all = lookup.Unavailable
		}
	}
	return all
}

// flown reports whether the sources were asked since the last call.
func (w *world) flown() bool {
	flown := false
	for _, a := range w.actors {
		flown = flown || a.asked
		a.asked = false
	}
	return flown
}

// known is the last thing that the sources said with authority of an address.
type known struct {
	outcome lookup.Outcome
	at      time.Time
	failed  bool // a later attempt found them unavailable
}

const (
	propertyTTL      = time.Hour
	propertyNegative = 5 * time.Minute
	propertyStale    = 3 * time.Hour
)

// whiles are what may pass between two steps: less and more than each of the
// times that matter.
var whiles = []time.Duration{time.Second, 16 * time.Second, 4 * time.Minute, 6 * time.Minute, 29 * time.Minute, 31 * time.Minute, 61 * time.Minute, 4 * time.Hour}

// No state of the sources and of the cache turns a failure into None: None is
// what all sources say now, or said within the negative TTL. And no state
// makes a certificate usable that is not valid, or not known.
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
	addr := parse(t, anna)
	rapid.Check(t, func(t *rapid.T) {
		w := &world{clock: newClock(start), certs: certs}
		cache := w.build(t)
		defer cache.Close()
		last := known{}
		for range rapid.IntRange(10, 40).Draw(t, "steps") {
			switch rapid.IntRange(0, 9).Draw(t, "step") {
			case 0, 1, 2:
				w.clock.advance(rapid.SampledFrom(whiles).Draw(t, "while"))
			case 3, 4:
				a := rapid.SampledFrom(w.actors).Draw(t, "source")
				a.does = rapid.IntRange(0, behaviours-1).Draw(t, "does")
			case 5:
				cache.Flush(addr)
				last = known{}
			default:
				answer := cache.Lookup(context.Background(), addr)
				last = w.check(t, answer, last)
			}
		}
	})
}

// build puts one to three sources together as a relay does.
func (w *world) build(t *rapid.T) *lookup.Cache {
	var links []lookup.Link
	for i := range rapid.IntRange(1, 3).Draw(t, "sources") {
		a := &actor{does: rapid.IntRange(0, behaviours-1).Draw(t, "does"), world: w}
		w.actors = append(w.actors, a)
		judged, err := lookup.NewTrusted(a, lookup.TrustOptions{Vouch: lookup.Itself, Clock: w.clock.now})
		if err != nil {
			t.Fatal(err)
		}
		links = append(links, lookup.Link{Name: string(rune('a' + i)), Source: judged})
	}
	chain, err := lookup.NewChain(lookup.ChainOptions{Log: slog.New(slog.DiscardHandler)}, links...)
	if err != nil {
		t.Fatal(err)
	}
	cache, err := lookup.NewCache(chain, lookup.CacheOptions{
		TTL: propertyTTL, NegativeTTL: propertyNegative, Stale: propertyStale, Clock: w.clock.now,
	})
	if err != nil {
		t.Fatal(err)
	}
	return cache
}

// check holds one answer against what is known, and gives what is known after it.
func (w *world) check(t *rapid.T, a lookup.Answer, last known) known {
	now, truth, flown := w.clock.now(), w.truth(), w.flown()
	if flown && truth == lookup.Unavailable {
		last.failed = true
	} else if flown {
		last = known{outcome: truth, at: now}
	}
	age := now.Sub(last.at)
	switch {
	case a.Outcome == lookup.None:
		if last.outcome != lookup.None || last.failed && flown || age >= propertyNegative {
			t.Fatalf("None, although last known was %v, %v ago (failed since: %v)", last.outcome, age, last.failed)
		}
	case a.Outcome == lookup.Found && !a.Stale:
		if last.outcome != lookup.Found || flown && truth != lookup.Found || age >= propertyTTL {
			t.Fatalf("Found, although last known was %v, %v ago", last.outcome, age)
		}
	case a.Outcome == lookup.Found:
		if last.outcome != lookup.Found || !last.failed || age >= propertyTTL+propertyStale {
			t.Fatalf("stale, although last known was %v, %v ago (failed since: %v)", last.outcome, age, last.failed)
		}
	case flown && truth != lookup.Unavailable:
		t.Fatalf("Unavailable, although the sources say %v", truth)
	}
	usable := a.Usable(0)
	if len(usable) > 0 != (a.Outcome == lookup.Found) {
		t.Fatalf("%v with %d usable certificates", a.Outcome, len(usable))
	}
	for _, c := range usable {
		if !now.Before(c.NotAfter) || c.Addresses[0] != anna {
			t.Fatalf("usable: %s until %v, now %v", c.Subject, c.NotAfter, now)
		}
	}
	return last
}
