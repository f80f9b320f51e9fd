package lookup_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sealpost/internal/address"
	"sealpost/internal/reason"
	"sealpost/internal/testkit"
	"sealpost/lookup"
)

// people are addresses that differ.
func people(t testing.TB, n int) []address.Address {
	all := make([]address.Address, n)
	for i := range all {
		all[i] = parse(t, fmt.Sprintf("p%d@example.org", i))
	}
	return all
}

// A weather is a source that hangs or answers, as told.
type weather struct {
	down  atomic.Bool
	asked atomic.Int64
}

func (w *weather) Lookup(ctx context.Context, _ address.Address) lookup.Answer {
	w.asked.Add(1)
	if !w.down.Load() {
		return saysNone
	}
	<-ctx.Done()
	return lookup.Answer{Err: errDown, Reason: reason.LookupUnavailable}
}

// An outage costs a few messages the time-out, and the others nothing; when
// the source is back it is noticed by one of them.
func TestOutageDoesNotSlowEveryMessage(t *testing.T) {
	all := people(t, 1000)
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		w := &weather{}
		w.down.Store(true)
		c, err := lookup.NewChain(lookup.ChainOptions{Timeout: 3 * time.Second, Log: slog.New(slog.NewTextHandler(&log, nil))}, lookup.Link{Name: "corp", Source: w})
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		for _, addr := range all {
			if a := c.Lookup(context.Background(), addr); a.Outcome != lookup.Unavailable || !errors.Is(a.Err, errDown) {
				t.Fatalf("%v, %v", a.Outcome, a.Err)
			}
		}
		if took := time.Since(start); took != 15*time.Second || w.asked.Load() != 5 {
			t.Errorf("a thousand messages took %v, the source was asked %d times", took, w.asked.Load())
		}
		if h := c.Health()[0]; h.State != lookup.Open || h.Failures != 5 || !errors.Is(h.Err, errDown) || !h.LastSuccess.IsZero() || !h.NextTry.After(time.Now()) {
			t.Errorf("%+v", h)
		}
		if s := c.Stats()[0]; s.Lookups != 1000 || s.Failures != 1000 || s.Skipped != 995 || s.Time != 15*time.Second {
			t.Errorf("%+v", s)
		}
		for range 12 { // an hour of outage, a message every second
			for range 300 {
				time.Sleep(time.Second)
				c.Lookup(context.Background(), all[0])
			}
		}
		if n := w.asked.Load(); n < 100 || n > 180 {
			t.Errorf("asked %d times in an hour of outage", n)
		}
		w.down.Store(false)
		time.Sleep(40 * time.Second)
		if a := c.Lookup(context.Background(), all[1]); a.Outcome != lookup.None {
			t.Errorf("it is back, but the answer is %v, %v", a.Outcome, a.Err)
		}
		if h := c.Health()[0]; h.State != lookup.Closed || h.Failures != 0 || h.LastSuccess.IsZero() {
			t.Errorf("%+v", h)
		}
		if n := strings.Count(log.String(), "\n"); n != 2 || !strings.Contains(log.String(), "is away") || !strings.Contains(log.String(), "is back") {
			t.Errorf("the log has %d lines:\n%s", n, log.String())
		}
	})
}

// One lookup probes; the others do not wait for it.
func TestOneLookupProbes(t *testing.T) {
	all := people(t, 105)
	synctest.Test(t, func(t *testing.T) {
		w := &weather{}
		w.down.Store(true)
		c := chain(t, lookup.ChainOptions{}, lookup.Link{Name: "corp", Source: w})
		for _, addr := range all[:5] {
			c.Lookup(context.Background(), addr)
		}
		time.Sleep(2 * time.Second)
		var slow atomic.Int64
		var wait sync.WaitGroup
		for _, addr := range all[5:] {
			wait.Go(func() {
				start := time.Now()
				c.Lookup(context.Background(), addr)
				if time.Since(start) > 0 {
					slow.Add(1)
				}
			})
		}
		synctest.Wait()
		if h := c.Health()[0]; h.State != lookup.HalfOpen {
			t.Errorf("%v", h.State)
		}
		wait.Wait()
		if slow.Load() != 1 || w.asked.Load() != 6 {
			t.Errorf("%d lookups waited, the source was asked %d times", slow.Load(), w.asked.Load())
		}
	})
}

// A caller that leaves shows nothing about the source, also one that probes.
func TestLeavingDoesNotOpenTheBreaker(t *testing.T) {
	all := people(t, 50)
	synctest.Test(t, func(t *testing.T) {
		w := &weather{}
		w.down.Store(true)
		c := chain(t, lookup.ChainOptions{}, lookup.Link{Name: "corp", Source: w})
		leave := func(addr address.Address) {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			c.Lookup(ctx, addr)
		}
		for _, addr := range all {
			leave(addr)
		}
		if h := c.Health()[0]; h.State != lookup.Closed || h.Failures != 0 || w.asked.Load() != 50 {
			t.Errorf("%+v", h)
		}
		for _, addr := range all[:5] {
			c.Lookup(context.Background(), addr)
		}
		time.Sleep(2 * time.Second)
		leave(all[6])
		if h := c.Health()[0]; h.State != lookup.Open {
			t.Errorf("%+v", h)
		}
		w.down.Store(false)
		if a := c.Lookup(context.Background(), all[7]); a.Outcome != lookup.None {
			t.Errorf("the lookup after one that left is not let through: %v", a.Err)
		}
	})
}

// What goes wrong with single addresses is no outage.
func TestTroubleWithOneAddressIsNoOutage(t *testing.T) {
	all := people(t, 100)
	ca := testkit.NewCA(t)
	mallory := issue(t, ca, testkit.Leaf{Addresses: []string{"mallory@example.org"}})
	particular := lookup.Answer{Reason: reason.LookupUnavailable, Err: errors.Join(errDown, lookup.Particular(errDown))}
	if !errors.Is(particular.Err, errDown) {
		t.Error("the error is hidden")
	}
	for name, test := range map[string]struct {
		source lookup.Source
		people []address.Address
		local  bool
	}{
		"one address again and again": {always(saysDown), all[:1], false},
		"an error that says so":       {always(particular), all, false},
		"somebody else's certificate": {trusted(t, always(found(mallory)), lookup.TrustOptions{Vouch: lookup.Itself}), all, false},
		"a local source":              {always(saysDown), all, true},
	} {
		c := chain(t, lookup.ChainOptions{}, lookup.Link{Name: "corp", Source: test.source, Local: test.local})
		for i := range 100 {
			if a := c.Lookup(context.Background(), test.people[i%len(test.people)]); a.Outcome != lookup.Unavailable {
				t.Errorf("%s: %v", name, a.Outcome)
			}
		}
		if s := c.Stats()[0]; s.Skipped != 0 || c.Health()[0].State != lookup.Closed {
			t.Errorf("%s: %+v, %+v", name, s, c.Health()[0])
		}
	}
}

// A source that answers one lookup in five is away too.
func TestFailureRate(t *testing.T) {
	var n atomic.Int64
	mostly := sourceFunc(func(context.Context, address.Address) lookup.Answer {
		if n.Add(1)%5 == 0 {
			return saysNone
		}
		return saysDown
	})
	c := chain(t, lookup.ChainOptions{Failures: 10}, lookup.Link{Name: "corp", Source: mostly})
	for _, addr := range people(t, 100) {
		c.Lookup(context.Background(), addr)
	}
	if h := c.Health()[0]; h.State != lookup.Open || n.Load() != 19 {
		t.Errorf("%v after %d lookups", h.State, n.Load())
	}
}

// All sources are asked at once, and all that is known is put together.
func TestChainAll(t *testing.T) {
	ca := testkit.NewCA(t)
	one, two := issue(t, ca, testkit.Leaf{Addresses: []string{anna}}), issue(t, ca, testkit.Leaf{Addresses: []string{anna}})
	yes, other, no, down := always(usable(one)), always(usable(two)), always(saysNone), always(saysDown)
	for name, test := range map[string]struct {
		sources []lookup.Source
		outcome lookup.Outcome
		usable  int
		partial bool
		source  string
	}{
		"both have one":        {[]lookup.Source{yes, other}, lookup.Found, 2, false, "0"},
		"both have the same":   {[]lookup.Source{yes, yes}, lookup.Found, 1, false, "0"},
		"one has none":         {[]lookup.Source{no, other}, lookup.Found, 1, false, "1"},
		"one is down":          {[]lookup.Source{yes, down}, lookup.Found, 1, true, "0"},
		"the first is down":    {[]lookup.Source{down, yes}, lookup.Found, 1, true, "1"},
		"none everywhere":      {[]lookup.Source{no, no}, lookup.None, 0, false, ""},
		"none and down":        {[]lookup.Source{no, down}, lookup.Unavailable, 0, false, "1"},
		"down and none":        {[]lookup.Source{down, no}, lookup.Unavailable, 0, false, "0"},
		"late, and none":       {[]lookup.Source{hangs, no}, lookup.Unavailable, 0, false, "0"},
		"late, and found":      {[]lookup.Source{hangs, yes}, lookup.Found, 1, true, "1"},
		"found, late and none": {[]lookup.Source{yes, hangs, no}, lookup.Found, 1, true, "0"},
	} {
		var links []lookup.Link
		for i, s := range test.sources {
			links = append(links, lookup.Link{Name: string(rune('0' + i)), Source: s})
		}
		var a lookup.Answer
		addr := parse(t, anna)
		synctest.Test(t, func(t *testing.T) { // a busy machine must not look like a source that is late
			a = chain(t, lookup.ChainOptions{All: true, Timeout: 20 * time.Millisecond}, links...).Lookup(context.Background(), addr)
		})
		if a.Outcome != test.outcome || len(a.Usable(0)) != test.usable || a.Partial != test.partial || a.Source != test.source || len(a.Asked) != len(links) {
			t.Errorf("%s: %v, %d usable, partial %v, source %q, %d asked", name, a.Outcome, len(a.Usable(0)), a.Partial, a.Source, len(a.Asked))
		}
		if (a.Err != nil) != (test.partial || test.outcome == lookup.Unavailable) {
			t.Errorf("%s: error %v", name, a.Err)
		}
	}
}

// Each source has its own time, and all of them run at once.
func TestChainAllTakesTheLongest(t *testing.T) {
	addr := parse(t, anna)
	synctest.Test(t, func(t *testing.T) {
		c := chain(t, lookup.ChainOptions{All: true},
			lookup.Link{Name: "a", Source: hangs, Timeout: time.Second}, lookup.Link{Name: "b", Source: hangs, Timeout: 4 * time.Second}, lookup.Link{Name: "c", Source: hangs})
		a := c.Lookup(context.Background(), addr)
		if a.Took != 4*time.Second || a.Asked[0].Took != time.Second || a.Asked[2].Took != 3*time.Second {
			t.Errorf("%v: %+v", a.Took, a.Asked)
		}
	})
}
