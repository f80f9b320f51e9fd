package lookup

import (
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"sealpost/internal/reason"
)

// An entry is one remembered answer with the times that bound its use.
type entry struct {
	answer       Answer
	number       uint64                  // of the flight that obtained it
	from, until  time.Time               // fresh: none of its verdicts changes by the clock alone
	refreshAt    time.Time               // used after it, it is asked for again ahead of its time
	refreshing   atomic.Bool             // somebody is about it
	staleUntil   time.Time               // no later than until, for None
	restingUntil atomic.Pointer[failure] // after a failed attempt to replace it
}

// A failure is why a stale answer could not be replaced.
type failure struct {
	answer Answer
	until  time.Time // no new attempt before
}

// newEntry works out how long an answer is good for: its TTL, but no longer
// than until the first certificate in it expires or becomes valid. One that
// lacks what some source may know is asked for again as soon as None would be.
func newEntry(a Answer, opts CacheOptions) *entry {
	e := &entry{answer: a, until: a.At.Add(opts.NegativeTTL)}
	e.staleUntil = e.until
	if a.Outcome == Found {
		e.until = a.At.Add(opts.TTL)
		e.staleUntil = e.until.Add(opts.Stale)
		if a.Partial {
			e.until = a.At.Add(min(opts.NegativeTTL, opts.TTL))
		}
	}
	for _, c := range a.Candidates {
		switch {
		case c.Usable:
			e.from = latest(e.from, c.Cert.NotBefore)
			e.until = earliest(e.until, c.Until)
		case c.Reason == reason.CertificateNotYetValid:
			e.until = earliest(e.until, c.Cert.NotBefore)
		}
	}
	// Varied, so that what was looked up together is not asked for together.
	life := e.until.Sub(a.At)
	e.refreshAt = e.until.Add(-life/4 + rand.N(max(life/8, 1)))
	return e
}

func earliest(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// fresh may be called on nil, like the other questions.
func (e *entry) fresh(now time.Time) bool {
	return e != nil && now.Before(e.until) && !now.Before(e.from)
}

// resting reports whether the sources were unavailable a moment ago, and are
// not to be asked for this address again yet.
func (e *entry) resting(now time.Time) bool {
	if e == nil {
		return false
	}
	f := e.restingUntil.Load()
	return f != nil && now.Before(f.until)
}

func (e *entry) rest(a Answer, until time.Time) {
	e.restingUntil.Store(&failure{a, until})
}

// stale gives the answer for use past its time: only Found, only within the
// stale window, and only with certificates that are valid now.
func (e *entry) stale(now time.Time) (Answer, bool) {
	if e == nil || e.answer.Outcome != Found || !now.Before(e.staleUntil) {
		return Answer{}, false
	}
	a := e.answer
	a.Stale = true
	if f := e.restingUntil.Load(); f != nil {
		a.Err, a.Asked = f.answer.Err, f.answer.Asked
	}
	a.Candidates = slices.Clone(a.Candidates)
	usable := false
	for i := range a.Candidates {
		c := &a.Candidates[i]
		switch {
		case !c.Usable:
		case !now.Before(c.Until):
			c.Usable, c.Reason = false, reason.CertificateExpired
			c.Why = "was usable until " + date(c.Until)
		case now.Before(c.Cert.NotBefore):
			c.Usable, c.Reason = false, reason.CertificateNotYetValid
			c.Why = "is valid only from " + date(c.Cert.NotBefore)
		default:
			usable = true
		}
	}
	return a, usable
}
