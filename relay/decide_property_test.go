package relay_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"sealpost/internal/address"
	"sealpost/internal/certificate"
	"sealpost/internal/testkit"
	"sealpost/lookup"
	"sealpost/relay"
	"sealpost/relay/policy"
)

// A witness is a source that behaves as it is told, and remembers whether it
// said with authority that there is nothing.
type witness struct {
	does   string
	certs  map[string]*certificate.Certificate
	asked  bool
	denied bool // it was asked, in time, and said none
}

var behaviours = []string{"found", "none", "unavailable", "nothing", "panic", "late", "lies", "expired", "half", "unheard of"}

func (w *witness) Lookup(ctx context.Context, _ address.Address) lookup.Answer {
	w.asked, w.denied = true, false
	candidate := func(name string) lookup.Answer {
		return lookup.Answer{Outcome: lookup.Found, Candidates: []lookup.Candidate{{Cert: w.certs[name]}}}
	}
	switch w.does {
	case "none":
		w.denied = true
		return lookup.Answer{Outcome: lookup.None}
	case "expired":
		w.denied = true // it names the address, and cannot be used: there is no usable one
		return candidate("expired")
	case "half":
		a := candidate("expired")
		a.Err = certificate.ErrTruncated
		return a
	case "found", "lies":
		return candidate(w.does)
	case "panic":
		panic("as told")
	case "late":
		<-ctx.Done()
		return lookup.Answer{Outcome: lookup.None}
	case "unavailable":
		return lookup.Answer{Err: context.DeadlineExceeded}
	case "unheard of":
		return lookup.Answer{Outcome: 42}
	}
	return lookup.Answer{}
}

// inBubble is a test whose deadline, being outside of its time, rapid must not
// ask for.
type inBubble struct{ *testing.T }

// Whatever sources, modes, breakers, cache and policy do: a copy passes in the
// clear only by a rule that never encrypts, or by one that allows it and after
// every source said, at once or within the negative TTL, that there is none.
func TestPlaintextOnlyWhenEverySourceSaidNone(t *testing.T) {
	ca := testkit.NewCA(t)
	read := func(leaf testkit.Leaf) *certificate.Certificate {
		leaf.Key = "p256"
		c, err := certificate.Parse(ca.Issue(t, leaf).Cert.Raw)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	const anna = "anna@example.org"
	now := time.Now()
	certs := map[string]*certificate.Certificate{
		"found":   read(testkit.Leaf{Addresses: []string{anna}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(1e5 * time.Hour)}),
		"lies":    read(testkit.Leaf{Addresses: []string{"mallory@example.org"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(1e5 * time.Hour)}),
		"expired": read(testkit.Leaf{Addresses: []string{anna}, NotBefore: now.Add(-2 * time.Hour), NotAfter: now.Add(-time.Hour)}),
	}
	synctest.Test(t, func(t *testing.T) {
		rapid.Check(inBubble{t}, func(t *rapid.T) {
			c := &courtroom{now: now}
			c.open(t, certs)
			defer c.cache.Close()
			for range rapid.IntRange(5, 25).Draw(t, "steps") {
				c.step(t, anna)
			}
		})
	})
}

// A courtroom is what decides, with the witnesses behind it.
type courtroom struct {
	now       time.Time
	witnesses []*witness
	cache     *lookup.Cache
	denied    time.Time // when all of them last said that there is none
}

func (c *courtroom) open(t *rapid.T, certs map[string]*certificate.Certificate) {
	clock := func() time.Time { return c.now }
	var links []lookup.Link
	for i := range rapid.IntRange(1, 3).Draw(t, "sources") {
		w := &witness{does: rapid.SampledFrom(behaviours).Draw(t, "does"), certs: certs}
		c.witnesses = append(c.witnesses, w)
		judged, err := lookup.NewTrusted(w, lookup.TrustOptions{Vouch: lookup.Itself, Clock: clock})
		if err != nil {
			t.Fatal(err)
		}
		links = append(links, lookup.Link{Name: fmt.Sprint(i), Source: judged})
	}
	chain, err := lookup.NewChain(lookup.ChainOptions{
		All: rapid.Bool().Draw(t, "all"), Failures: rapid.SampledFrom([]int{-1, 1, 2}).Draw(t, "failures"),
		Timeout: time.Millisecond, Clock: clock, Log: slog.New(slog.DiscardHandler),
	}, links...)
	if err != nil {
		t.Fatal(err)
	}
	if c.cache, err = lookup.NewCache(chain, lookup.CacheOptions{Clock: clock}); err != nil {
		t.Fatal(err)
	}
}

func (c *courtroom) step(t *rapid.T, anna string) {
	to, err := address.Parse(anna)
	if err != nil {
		t.Fatal(err)
	}
	switch rapid.IntRange(0, 7).Draw(t, "step") {
	case 0, 1:
		c.now = c.now.Add(rapid.SampledFrom([]time.Duration{time.Second, time.Minute, 4 * time.Minute, 6 * time.Minute, 50 * time.Minute, 2 * time.Hour, 30 * time.Hour}).Draw(t, "while"))
	case 2, 3:
		rapid.SampledFrom(c.witnesses).Draw(t, "source").does = rapid.SampledFrom(behaviours).Draw(t, "does")
	case 4:
		c.cache.Flush(to)
	default:
		rule := policy.Rule{
			Name:    "rule",
			Encrypt: rapid.SampledFrom([]policy.Encrypt{policy.Always, policy.Always, policy.Never}).Draw(t, "encrypt"),
			NoKey:   rapid.SampledFrom([]policy.NoKey{policy.Reject, policy.Hold, policy.Provision, policy.Plaintext, policy.Plaintext}).Draw(t, "no_key"),
		}
		c.decide(t, to, rule)
	}
}

func (c *courtroom) decide(t *rapid.T, to address.Address, rule policy.Rule) {
	for _, w := range c.witnesses {
		w.asked, w.denied = false, false
	}
	before := c.cache.Stats()
	d := &relay.Decider{Policy: policy.New([]policy.Rule{rule}), Directory: c.cache, MaxCertificates: 4}
	verdict := d.Decide(context.Background(), relay.Sender{}, to)
	time.Sleep(10 * time.Millisecond) // what is refreshed ahead
	synctest.Wait()
	waited := c.cache.Stats().Misses > before.Misses
	all := !slices.ContainsFunc(c.witnesses, func(w *witness) bool { return !w.asked || !w.denied })
	if waited && all {
		c.denied = c.now
	}
	decision := verdict.AtData(nil)
	switch {
	case decision.Action != relay.Passed:
		if rule.Encrypt == policy.Never {
			t.Fatalf("%s, although the rule never encrypts", decision.Action)
		}
	case rule.Encrypt == policy.Never:
	case rule.NoKey != policy.Plaintext:
		t.Fatal("passed in the clear by a rule that does not allow it")
	case waited && !all:
		t.Fatal("passed in the clear, although not every source said that there is none")
	case c.denied.IsZero() || c.now.Sub(c.denied) >= 5*time.Minute:
		t.Fatalf("passed in the clear, on the word of %v", c.denied)
	}
	if decision.Action == relay.Provision && (rule.NoKey != policy.Provision || waited && !all) {
		t.Fatal("a key is asked for, although not every source said that there is none")
	}
	if decision.Action == relay.Sealed && len(decision.Keys) == 0 {
		t.Fatal("sealed to nobody")
	}
	if !waited && all { // behind the caller's back, all of them said so
		c.denied = c.now
	}
}
