package lookup

import (
	"errors"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"sync"
	"time"
)

// A SourceState says whether a source is being asked.
type SourceState int

// The states of a source.
const (
	Closed   SourceState = iota // asked for every address
	Open                        // away: not asked, its lookups are Unavailable at once
	HalfOpen                    // one lookup is finding out whether it is back
)

// String is the state as logs and monitoring spell it.
func (s SourceState) String() string {
	switch s {
	case Closed:
		return "up"
	case HalfOpen:
		return "probing"
	}
	return "down"
}

// SourceHealth is how one source is doing.
type SourceHealth struct {
	Source      string
	State       SourceState
	Since       time.Time     // of the state; the start, when nothing ever went wrong
	Failures    int           // since the last success; an address that failed last is counted once
	Err         error         // of the last failure; nil when there was none
	FailedAt    time.Time     // when that was
	LastSuccess time.Time     // zero: none yet
	Latency     time.Duration // of its answers lately, smoothed; 0 before the first
	NextTry     time.Time     // when Open: the next lookup after it is let through
}

const (
	historyLength = 20 // lookups that the failure rate is taken over
	historyFails  = 16 // of them, that open the breaker
)

// A breaker keeps an outage of one source from slowing every message: after
// enough failures nothing is asked for a while, then one lookup tries.
type breaker struct {
	failures        int // in a row that open it; negative: it never opens
	pause, maxPause time.Duration
	now             func() time.Time

	mu      sync.Mutex
	health  SourceHealth
	last    mailbox // the address that failed last
	history uint32  // the last lookups, the newest in bit 0; a failure is 1
	wait    time.Duration
}

// A permit is the leave to ask the source once.
type permit struct {
	breaker *breaker
	probe   bool
}

// An awayError is why a source is not asked.
type awayError struct{ cause error }

// Error names the last thing that went wrong.
func (e awayError) Error() string {
	return fmt.Sprintf("not asked for now, because it failed lately: %v", e.cause)
}

// Unwrap gives the failure that the source had last.
func (e awayError) Unwrap() error { return e.cause }

// refuses says why the source is not to be asked now; nil when it may be.
func (b *breaker) refuses() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.refusal()
}

func (b *breaker) refusal() error {
	switch {
	case b.health.State == Closed:
		return nil
	case b.health.State == Open && !b.now().Before(b.health.NextTry):
		return nil
	}
	return awayError{b.health.Err}
}

// enter takes the leave to ask. Of those who come when the pause is over, one
// gets it.
func (b *breaker) enter() (permit, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.refusal(); err != nil {
		return permit{}, err
	}
	p := permit{breaker: b, probe: b.health.State == Open}
	if p.probe {
		b.health.State = HalfOpen
	}
	return p, nil
}

// An ending is what a lookup showed of its source.
type ending int

const (
	answered ending = iota // the source is there
	broken                 // it is not
	unknown                // the caller went away, so that nothing is known
)

// leave tells how the lookup ended. changed reports that the source has gone
// away, or has come back.
func (p permit) leave(how ending, who mailbox, took time.Duration, err error) (changed bool) {
	b := p.breaker
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	switch how {
	case answered:
		b.health.LastSuccess, b.health.Failures = now, 0
		b.health.Latency = smooth(b.health.Latency, took)
		b.last = mailbox{}
		b.history <<= 1
		if b.health.State == Closed {
			return false
		}
		// Also a lookup that began before the breaker opened shows that it is back.
		b.health.State, b.health.Since, b.wait, b.history = Closed, now, 0, 0
		return true
	case broken:
		return b.failed(p, who, now, err)
	}
	if p.probe && b.health.State == HalfOpen {
		b.health.State = Open // the next lookup tries
	}
	return false
}

func (b *breaker) failed(p permit, who mailbox, now time.Time, err error) (changed bool) {
	b.health.Err, b.health.FailedAt = err, now
	if b.health.State != Closed {
		b.health.Failures++
		if p.probe {
			b.open(now)
		}
		return false
	}
	if who == b.last {
		return false // one address that fails again says nothing new about the source
	}
	b.last = who
	b.health.Failures++
	b.history = b.history<<1 | 1
	if b.failures < 0 {
		return false
	}
	if b.health.Failures < b.failures && bits.OnesCount32(b.history&(1<<historyLength-1)) < historyFails {
		return false
	}
	b.health.Since = now
	b.open(now)
	return true
}

// open begins a pause, twice as long as the one before it. It is varied, so
// that several relays do not come back to the source together.
func (b *breaker) open(now time.Time) {
	b.wait = min(max(2*b.wait, b.pause), b.maxPause)
	b.health.State = Open
	b.health.NextTry = now.Add(b.wait*3/4 + rand.N(b.wait/2+1))
}

func smooth(old, took time.Duration) time.Duration {
	if old == 0 {
		return took
	}
	return old + (took-old)/8
}

func (b *breaker) snapshot() SourceHealth {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.health
}

// A particular error concerns one address or domain.
type particular struct{ error }

// Unwrap gives the error itself.
func (p particular) Unwrap() error { return p.error }

// Particular marks the error of an Unavailable answer as one that says nothing
// about the source, only about the address or its domain: a domain whose DNSSEC
// is broken, an entry that is too large. However many there are, the source is
// still asked for other addresses.
func Particular(err error) error { return particular{err} }

func isParticular(err error) bool {
	var p particular
	return errors.As(err, &p)
}
