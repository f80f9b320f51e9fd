package lookup

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"time"

	"sealpost/internal/address"
	"sealpost/internal/reason"
)

// A Link is one source of a chain.
type Link struct {
	Name        string // stands in answers, logs and metrics
	Source      Source
	Timeout     time.Duration // for one lookup, waiting for a turn included; default: ChainOptions.Timeout
	Concurrency int           // lookups at a time, default 64; the others wait for their turn
}

// ChainOptions says how sources are asked.
type ChainOptions struct {
	Timeout time.Duration // of each source, default 3 s
	Overall time.Duration // of all together; default: the sum of theirs
	Log     *slog.Logger  // default: slog.Default
}

// A Chain asks sources in order; the first that has a usable certificate
// answers. A source that is unavailable does not keep later ones from
// answering Found, but it does keep the chain from answering None.
type Chain struct {
	links   []*link
	overall time.Duration
	log     *slog.Logger
}

type link struct {
	Link
	turns             chan struct{}
	lookups, failures atomic.Uint64
}

// SourceStats counts what one source was asked, since the start.
type SourceStats struct {
	Source            string
	Lookups, Failures uint64 // a failure is a lookup that ended Unavailable
}

// NewChain needs at least one link; names must be there and differ.
func NewChain(opts ChainOptions, links ...Link) (*Chain, error) {
	if len(links) == 0 {
		return nil, errors.New("lookup: no sources")
	}
	c := &Chain{overall: opts.Overall, log: opts.Log}
	if c.log == nil {
		c.log = slog.Default()
	}
	var sum time.Duration
	names := map[string]bool{}
	for _, l := range links {
		if l.Name == "" || l.Source == nil || names[l.Name] {
			return nil, fmt.Errorf("lookup: source %q needs a name of its own", l.Name)
		}
		names[l.Name] = true
		if l.Timeout <= 0 {
			l.Timeout = orDefault(opts.Timeout, 3*time.Second)
		}
		if l.Concurrency <= 0 {
			l.Concurrency = 64
		}
		sum += l.Timeout
		c.links = append(c.links, &link{Link: l, turns: make(chan struct{}, l.Concurrency)})
	}
	if c.overall <= 0 {
		c.overall = sum
	}
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
	ctx, cancel := context.WithTimeout(ctx, c.overall)
	defer cancel()
	start := time.Now()
	all := Answer{Outcome: None}
	var errs []error
	for _, l := range c.links {
		a := c.ask(ctx, l, addr)
		all.Asked = append(all.Asked, Asked{Source: l.Name, Outcome: a.Outcome, Took: a.Took, Err: a.Err, Notes: a.Notes})
		for _, candidate := range a.Candidates {
			candidate.Source = l.Name
			all.Candidates = append(all.Candidates, candidate)
		}
		if a.Outcome == Found {
			all.Outcome, all.Source, all.Err = Found, l.Name, a.Err
			break
		}
		if a.Outcome != None {
			all.Outcome, all.Source = Unavailable, l.Name
			errs = append(errs, fmt.Errorf("source %s: %w", l.Name, a.Err))
			all.Reason = worse(all.Reason, a.Reason)
		}
	}
	all.Took = time.Since(start)
	switch all.Outcome {
	case Found:
		all.Reason = reason.None
	case Unavailable:
		all.Err = errors.Join(errs...)
	case None:
		all.Reason = reason.NoCertificate
		if n, ok := all.Nearest(); ok {
			all.Reason, all.Source = n.Reason, n.Source
		}
	}
	return all
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

// ask asks one source, waiting for a turn if it has enough to do, and fills in
// what the source itself does not know.
func (c *Chain) ask(ctx context.Context, l *link, addr address.Address) Answer {
	ctx, cancel := context.WithTimeout(ctx, l.Timeout)
	defer cancel()
	start := time.Now()
	l.lookups.Add(1)
	var a Answer
	select {
	case l.turns <- struct{}{}:
		a = c.guarded(ctx, l, addr)
		<-l.turns
	case <-ctx.Done():
		a = failed(reason.LookupUnavailable, fmt.Errorf("no turn in time: %w", ctx.Err()))
	}
	a = believable(ctx, a)
	a.Took = time.Since(start)
	if a.Outcome == Unavailable {
		l.failures.Add(1)
	}
	return a
}

var (
	errNoAnswer  = errors.New("no answer")
	errNotJudged = errors.New("certificates that nobody judged: the source is not wrapped by NewTrusted")
)

// believable holds a source to what the outcomes mean, whatever it says.
func believable(ctx context.Context, a Answer) Answer {
	switch {
	case a.Outcome == None && ctx.Err() == nil:
		return a
	case a.Outcome == Found && slices.ContainsFunc(a.Candidates, func(c Candidate) bool { return c.Usable }):
		return a
	case a.Outcome == Found:
		a.Err = errNotJudged
	case a.Err == nil && ctx.Err() != nil:
		a.Err = ctx.Err()
	case a.Err == nil:
		a.Err = errNoAnswer
	}
	a.Outcome = Unavailable
	if a.Reason == reason.None || a.Reason == reason.NoCertificate {
		a.Reason = reason.LookupUnavailable
	}
	return a
}

// guarded turns a panic of a source into an outage of that source: answers
// come from strangers, and a flaw in reading one must not stop the mail.
func (c *Chain) guarded(ctx context.Context, l *link, addr address.Address) (a Answer) {
	defer func() {
		if p := recover(); p != nil {
			c.log.Error("lookup source panicked", "source", l.Name, "panic", p, "stack", string(debug.Stack()))
			a = failed(reason.LookupUnavailable, fmt.Errorf("internal error: %v", p))
		}
	}()
	return l.Source.Lookup(ctx, addr)
}

// Stats counts per source, in order.
func (c *Chain) Stats() []SourceStats {
	stats := make([]SourceStats, len(c.links))
	for i, l := range c.links {
		stats[i] = SourceStats{l.Name, l.lookups.Load(), l.failures.Load()}
	}
	return stats
}
