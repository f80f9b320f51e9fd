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
	// Local sources never wait for anybody (files on this machine): they are
	// asked whatever went wrong before.
	Local bool
}

type link struct {
	Link
	turns                      chan struct{}
	breaker                    breaker
	log                        *slog.Logger
	lookups, failures, skipped atomic.Uint64
	nanos                      atomic.Int64 // spent in lookups that were not skipped
}

// SourceStats counts what one source was asked, since the start.
type SourceStats struct {
	Source            string
	Lookups, Failures uint64        // a failure is a lookup that ended Unavailable
	Skipped           uint64        // failures that the source was not asked for, because it was away
	Time              time.Duration // spent in the lookups that were not skipped
}

// newLink completes a link; the names are checked by NewChain.
func newLink(l Link, opts ChainOptions) *link {
	l.Timeout = orDefault(l.Timeout, orDefault(opts.Timeout, 3*time.Second))
	if l.Concurrency <= 0 {
		l.Concurrency = 64
	}
	made := &link{Link: l, turns: make(chan struct{}, l.Concurrency), log: opts.Log}
	b := &made.breaker
	b.pause, b.now = orDefault(opts.Pause, time.Second), opts.Clock
	b.maxPause = max(orDefault(opts.MaxPause, 30*time.Second), b.pause)
	b.health = SourceHealth{Source: l.Name, Since: opts.Clock()}
	switch {
	case l.Local:
		b.failures = -1
	case opts.Failures == 0:
		b.failures = 5
	default:
		b.failures = opts.Failures
	}
	return made
}

// errOverall is the cause when all sources together have taken too long.
var errOverall = errors.New("lookup: the time for all sources is over")

// ask asks one source, waiting for a turn if it has enough to do, and fills in
// what the source itself does not know. share is the time after which the
// source is to blame for having none left.
func (l *link) ask(ctx context.Context, share time.Duration, addr address.Address) Answer {
	start := time.Now()
	l.lookups.Add(1)
	if err := l.breaker.refuses(); err != nil {
		return l.skip(err)
	}
	inner, cancel := context.WithTimeout(ctx, l.Timeout)
	defer cancel()
	select {
	case l.turns <- struct{}{}:
	case <-inner.Done(): // says nothing about the source: those who had a turn will
		a := failed(reason.LookupUnavailable, fmt.Errorf("no turn in time: %w", inner.Err()))
		return l.count(a, time.Since(start))
	}
	permit, err := l.breaker.enter()
	if err != nil { // it went away meanwhile
		<-l.turns
		return l.skip(err)
	}
	began := time.Now()
	a := believable(inner, l.guarded(inner, addr))
	<-l.turns
	took := time.Since(began)
	if permit.leave(l.ending(ctx, a, took, share), mailboxOf(addr), took, a.Err) {
		l.report()
	}
	return l.count(a, time.Since(start))
}

func (l *link) skip(err error) Answer {
	l.skipped.Add(1)
	l.failures.Add(1)
	return failed(reason.LookupUnavailable, err)
}

func (l *link) count(a Answer, took time.Duration) Answer {
	a.Took = took
	l.nanos.Add(int64(took))
	if a.Outcome == Unavailable {
		l.failures.Add(1)
	}
	return a
}

// ending is what an answer says about the source. One that concerns the
// address alone shows that it is there; a caller that went away shows nothing.
func (l *link) ending(ctx context.Context, a Answer, took, share time.Duration) ending {
	switch {
	case a.Outcome != Unavailable, a.Reason != reason.LookupUnavailable:
		return answered
	case isParticular(a.Err):
		return answered
	case ctx.Err() == nil, context.Cause(ctx) == errOverall && took >= min(share, l.Timeout):
		return broken
	}
	return unknown
}

// report logs that the source has gone away or has come back.
func (l *link) report() {
	h := l.breaker.snapshot()
	if h.State == Closed {
		l.log.Info("lookup source is back", "source", l.Name)
		return
	}
	l.log.Warn("lookup source is away; it is asked again now and then", "source", l.Name, "failures", h.Failures, "error", h.Err)
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
func (l *link) guarded(ctx context.Context, addr address.Address) (a Answer) {
	defer func() {
		if p := recover(); p != nil {
			l.log.Error("lookup source panicked", "source", l.Name, "panic", p, "stack", string(debug.Stack()))
			a = failed(reason.LookupUnavailable, fmt.Errorf("internal error: %v", p))
		}
	}()
	return l.Source.Lookup(ctx, addr)
}
