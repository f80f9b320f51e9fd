package lookup

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"sealpost/internal/address"
	"sealpost/internal/reason"
)

// ChainOptions says how sources are asked.
type ChainOptions struct {
	// All asks every source, at once, and puts together what they have. Without
	// it they are asked in order, and the first that has a usable certificate
	// answers.
	All     bool
	Timeout time.Duration // of each source, default 3 s
	Overall time.Duration // of all together; default: the sum of theirs, or with All the longest

	Failures int              // in a row after which a source counts as away, default 5; negative: never
	Pause    time.Duration    // before a source that is away is tried again, default 1 s; it doubles each time
	MaxPause time.Duration    // the longest, default 30 s
	Clock    func() time.Time // of the pauses, default: time.Now
	Log      *slog.Logger     // default: slog.Default
}

// A Chain asks sources: in order until one has a usable certificate, or all of
// them. A source that is unavailable does not keep others from answering
// Found, but it does keep the chain from answering None.
//
// A source that fails several times in a row, for different addresses, counts
// as away: its lookups are Unavailable at once, and every now and then one of
// them finds out whether it is back. What fails because the caller went away
// does not count.
type Chain struct {
	links   []*link
	all     bool
	overall time.Duration
}

// NewChain needs at least one link; names must be there and differ.
func NewChain(opts ChainOptions, links ...Link) (*Chain, error) {
	if len(links) == 0 {
		return nil, errors.New("lookup: no sources")
	}
	if opts.Log == nil {
		opts.Log = slog.Default()
	}
	if opts.Clock == nil {
		opts.Clock = time.Now
	}
	c := &Chain{all: opts.All}
	var sum, longest time.Duration
	names := map[string]bool{}
	for _, l := range links {
		if l.Name == "" || l.Source == nil || names[l.Name] {
			return nil, fmt.Errorf("lookup: source %q needs a name of its own", l.Name)
		}
		names[l.Name] = true
		made := newLink(l, opts)
		sum, longest = sum+made.Timeout, max(longest, made.Timeout)
		c.links = append(c.links, made)
	}
	if c.all {
		sum = longest
	}
	c.overall = orDefault(opts.Overall, sum)
	return c, nil
}

func orDefault(d, otherwise time.Duration) time.Duration {
	if d <= 0 {
		return otherwise
	}
	return d
}

// Lookup asks the sources.
func (c *Chain) Lookup(ctx context.Context, addr address.Address) Answer {
	ctx, cancel := context.WithTimeoutCause(ctx, c.overall, errOverall)
	defer cancel()
	start := time.Now()
	var m merger
	if c.all {
		m = c.askAll(ctx, addr)
	} else {
		m = c.askInOrder(ctx, addr)
	}
	a := m.answer()
	a.Took = time.Since(start)
	return a
}

func (c *Chain) askInOrder(ctx context.Context, addr address.Address) (m merger) {
	share := c.overall / time.Duration(len(c.links))
	for _, l := range c.links {
		if m.add(l.Name, l.ask(ctx, share, addr)); m.found != "" {
			break
		}
	}
	return m
}

// askAll waits for every source, each within its own time: whoever wants all
// that is known of an address cannot take the first answer.
func (c *Chain) askAll(ctx context.Context, addr address.Address) (m merger) {
	answers := make([]Answer, len(c.links))
	var asking sync.WaitGroup
	for i, l := range c.links {
		asking.Go(func() { answers[i] = l.ask(ctx, c.overall, addr) })
	}
	asking.Wait()
	for i, l := range c.links {
		m.add(l.Name, answers[i])
	}
	return m
}

// A merger makes one answer of several. Found outweighs Unavailable, and
// Unavailable outweighs None.
type merger struct {
	all    Answer
	found  string  // the first source that has a usable certificate
	away   string  // the last one that is unavailable
	errs   []error // of those that are unavailable
	beside []error // what those that have certificates could not read
}

func (m *merger) add(name string, a Answer) {
	m.all.Asked = append(m.all.Asked, Asked{Source: name, Outcome: a.Outcome, Took: a.Took, Err: a.Err, Notes: a.Notes})
	for _, candidate := range a.Candidates {
		candidate.Source = name
		m.all.Candidates = append(m.all.Candidates, candidate)
	}
	switch a.Outcome {
	case Found:
		if m.found == "" {
			m.found = name
		}
		if a.Err != nil {
			m.beside = append(m.beside, a.Err)
		}
	case None:
	default:
		m.away = name
		m.errs = append(m.errs, fmt.Errorf("source %s: %w", name, a.Err))
		m.all.Reason = worse(m.all.Reason, a.Reason)
	}
}

func (m *merger) answer() Answer {
	a := m.all
	switch {
	case m.found != "":
		a.Outcome, a.Source, a.Reason = Found, m.found, reason.None
		a.Partial = len(m.errs) > 0
		a.Err = errors.Join(append(m.errs, m.beside...)...)
	case m.away != "":
		a.Outcome, a.Source, a.Err = Unavailable, m.away, errors.Join(m.errs...)
	default:
		a.Outcome, a.Reason = None, reason.NoCertificate
		if n, ok := a.Nearest(); ok {
			a.Reason, a.Source = n.Reason, n.Source
		}
	}
	return a
}

// worse joins the reasons of several unavailable sources: one that could not
// be reached outweighs one whose answer was of no use.
func worse(a, b reason.Token) reason.Token {
	if a == reason.None {
		return b
	}
	if b == reason.LookupUnavailable {
		return b
	}
	return a
}

// Stats counts per source, in order.
func (c *Chain) Stats() []SourceStats {
	stats := make([]SourceStats, len(c.links))
	for i, l := range c.links {
		stats[i] = SourceStats{l.Name, l.lookups.Load(), l.failures.Load(), l.skipped.Load(), time.Duration(l.nanos.Load())}
	}
	return stats
}

// Health tells how each source is doing, in order.
func (c *Chain) Health() []SourceHealth {
	health := make([]SourceHealth, len(c.links))
	for i, l := range c.links {
		health[i] = l.breaker.snapshot()
	}
	return health
}
