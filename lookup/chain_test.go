package lookup_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sealpost/internal/address"
	"sealpost/internal/reason"
	"sealpost/internal/testkit"
	"sealpost/lookup"
)

func chain(t testing.TB, opts lookup.ChainOptions, links ...lookup.Link) *lookup.Chain {
	t.Helper()
	opts.Log = slog.New(slog.DiscardHandler)
	c, err := lookup.NewChain(opts, links...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestChain(t *testing.T) {
	cert := issue(t, testkit.NewCA(t), testkit.Leaf{Addresses: []string{anna}})
	yes := always(usable(cert))
	no := always(lookup.Answer{Outcome: lookup.None, Reason: reason.NoCertificate})
	down := always(lookup.Answer{Err: errDown})
	refused := found(cert)
	refused.Outcome, refused.Candidates[0].Reason = lookup.None, reason.CertificateExpired
	expired := always(refused)
	unjudged := always(found(cert))
	panics := sourceFunc(func(context.Context, address.Address) lookup.Answer { panic("hostile certificate") })
	nonsense := always(lookup.Answer{Outcome: 42})

	for name, test := range map[string]struct {
		sources []lookup.Source
		outcome lookup.Outcome
		token   reason.Token
		asked   int
		source  string
	}{
		"found first":               {[]lookup.Source{yes, down}, lookup.Found, "", 1, "0"},
		"found after none":          {[]lookup.Source{no, yes}, lookup.Found, "", 2, "1"},
		"found after unavailable":   {[]lookup.Source{down, yes}, lookup.Found, "", 2, "1"},
		"found after refused":       {[]lookup.Source{expired, yes}, lookup.Found, "", 2, "1"},
		"none everywhere":           {[]lookup.Source{no, no}, lookup.None, reason.NoCertificate, 2, ""},
		"refused everywhere":        {[]lookup.Source{no, expired}, lookup.None, reason.CertificateExpired, 2, "1"},
		"unavailable, then none":    {[]lookup.Source{down, no}, lookup.Unavailable, reason.LookupUnavailable, 2, "0"},
		"none, then unavailable":    {[]lookup.Source{no, down}, lookup.Unavailable, reason.LookupUnavailable, 2, "1"},
		"refused, then unavailable": {[]lookup.Source{expired, down}, lookup.Unavailable, reason.LookupUnavailable, 2, "1"},
		"never judged":              {[]lookup.Source{unjudged}, lookup.Unavailable, reason.LookupUnavailable, 1, "0"},
		"panic":                     {[]lookup.Source{panics, no}, lookup.Unavailable, reason.LookupUnavailable, 2, "0"},
		"panic, then found":         {[]lookup.Source{panics, yes}, lookup.Found, "", 2, "1"},
		"an outcome unheard of":     {[]lookup.Source{nonsense, no}, lookup.Unavailable, reason.LookupUnavailable, 2, "0"},
	} {
		var links []lookup.Link
		for i, s := range test.sources {
			links = append(links, lookup.Link{Name: string(rune('0' + i)), Source: s})
		}
		c := chain(t, lookup.ChainOptions{}, links...)
		a := c.Lookup(context.Background(), parse(t, anna))
		if a.Outcome != test.outcome || a.Reason != test.token || a.Source != test.source || len(a.Asked) != test.asked {
			t.Errorf("%s: %v, reason %q, source %q, %d asked", name, a.Outcome, a.Reason, a.Source, len(a.Asked))
		}
		if (a.Err != nil) != (a.Outcome == lookup.Unavailable || a.Partial) {
			t.Errorf("%s: %v with error %v, partial %v", name, a.Outcome, a.Err, a.Partial)
		}
		if len(a.Usable(0)) > 0 != (a.Outcome == lookup.Found) {
			t.Errorf("%s: %v with %d usable", name, a.Outcome, len(a.Usable(0)))
		}
		for _, s := range c.Stats() {
			if s.Lookups > 1 || s.Failures > s.Lookups {
				t.Errorf("%s: %+v", name, s)
			}
		}
	}
}

// hangs answers only when it is told to stop.
var hangs = sourceFunc(func(ctx context.Context, _ address.Address) lookup.Answer {
	<-ctx.Done()
	return lookup.Answer{Outcome: lookup.None} // a careless source: it has asked nobody
})

func TestChainTimeouts(t *testing.T) {
	cert := issue(t, testkit.NewCA(t), testkit.Leaf{Addresses: []string{anna}})
	yes := always(usable(cert))
	addr := parse(t, anna)
	for name, test := range map[string]struct {
		opts    lookup.ChainOptions
		links   []lookup.Link
		outcome lookup.Outcome
		took    time.Duration
	}{
		"one that hangs":             {lookup.ChainOptions{Timeout: 2 * time.Second}, []lookup.Link{{Name: "a", Source: hangs}}, lookup.Unavailable, 2 * time.Second},
		"the next one still answers": {lookup.ChainOptions{Timeout: 2 * time.Second}, []lookup.Link{{Name: "a", Source: hangs}, {Name: "b", Source: yes}}, lookup.Found, 2 * time.Second},
		"its own timeout":            {lookup.ChainOptions{Timeout: 9 * time.Second}, []lookup.Link{{Name: "a", Source: hangs, Timeout: time.Second}}, lookup.Unavailable, time.Second},
		"all together":               {lookup.ChainOptions{Overall: time.Second}, []lookup.Link{{Name: "a", Source: hangs}, {Name: "b", Source: hangs}}, lookup.Unavailable, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := chain(t, test.opts, test.links...).Lookup(context.Background(), addr)
				if a.Outcome != test.outcome || a.Took != test.took {
					t.Errorf("%v after %v", a.Outcome, a.Took)
				}
				if test.outcome == lookup.Unavailable && !errors.Is(a.Err, context.DeadlineExceeded) {
					t.Errorf("error %v", a.Err)
				}
			})
		})
	}
}

// A source is never asked more at a time than it may be, and who waits for a
// turn does not wait for ever.
func TestChainTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		now, most := 0, 0
		slow := sourceFunc(func(context.Context, address.Address) lookup.Answer {
			mu.Lock()
			now++
			most = max(most, now)
			mu.Unlock()
			time.Sleep(time.Second)
			mu.Lock()
			now--
			mu.Unlock()
			return lookup.Answer{Outcome: lookup.None, Reason: reason.NoCertificate}
		})
		c := chain(t, lookup.ChainOptions{Timeout: 2500 * time.Millisecond}, lookup.Link{Name: "slow", Source: slow, Concurrency: 10})
		outcomes := map[lookup.Outcome]int{}
		var all sync.WaitGroup
		for range 1000 {
			all.Go(func() {
				a := c.Lookup(context.Background(), address.Address{})
				mu.Lock()
				outcomes[a.Outcome]++
				mu.Unlock()
			})
		}
		all.Wait()
		if most != 10 || outcomes[lookup.None] != 20 || outcomes[lookup.Unavailable] != 980 {
			t.Errorf("at most %d at a time; outcomes %v", most, outcomes)
		}
		if s := c.Stats()[0]; s.Lookups != 1000 || s.Failures != 980 {
			t.Errorf("%+v", s)
		}
	})
}

func TestNewChainRefuses(t *testing.T) {
	no := always(lookup.Answer{Outcome: lookup.None})
	for name, links := range map[string][]lookup.Link{
		"no source":       nil,
		"no name":         {{Source: no}},
		"nil":             {{Name: "a"}},
		"names repeating": {{Name: "a", Source: no}, {Name: "a", Source: no}},
	} {
		if _, err := lookup.NewChain(lookup.ChainOptions{}, links...); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
