package queue

import (
	"context"
	"errors"
	"time"

	"sealpost/internal/reason"
	"sealpost/relay/reply"
	"sealpost/relay/spool"
	"sealpost/relay/upstream"
)

// A Result is what became of a parcel in one attempt.
type Result string

// The results. Sent, Bounced and Expired are final.
const (
	Sent    Result = "sent"
	Later   Result = "deferred"
	Bounced Result = "bounced" // refused for good, or damaged in the spool
	Expired Result = "expired" // too old
	Waits   Result = "held"    // there is no certificate yet
	Frozen  Result = "frozen"  // its record cannot be understood: an operator must look
)

// An Attempt is one try to deliver a copy, or to find its certificate, for
// log and metrics.
type Attempt struct {
	Item    Item // what could be read of it
	Result  Result
	Outcome *upstream.Outcome // nil when it did not come to upstream
	Err     error             // nil when Result is Sent
	Arrived time.Time
	Began   time.Time
	Next    time.Time // of the next attempt; the zero value when there is none
}

// errNoResolver stands for a missing Resolver.
var errNoResolver = reply.Errorf(451, reply.Enhanced{4, 3, 5}, reason.LookupUnavailable, "Nothing is configured to look for certificates")

// try delivers one parcel. It is a goroutine of its own.
func (e *Engine) try(p *parcel, t try) {
	began := e.wall()
	it, outcome, err := e.deliver(p)
	v := judge(e.ctx, err)
	e.mu.Lock()
	e.health.end(t)
	if outcome != nil {
		e.learn(v, t, e.elapsed())
	}
	e.mu.Unlock()
	e.conclude(p, v, Attempt{Item: it, Outcome: outcome, Err: err, Arrived: p.msg.arrival, Began: began})
	e.kick()
}

// A heldError says that there is no key (any more) for a copy that was due.
type heldError struct{ error }

func (h heldError) Unwrap() error { return h.error }

// deliver reads a parcel, records the attempt and sends it.
func (e *Engine) deliver(p *parcel) (Item, *upstream.Outcome, error) {
	it, err := readItem(e.store, p.ref())
	it.Attempts = int(p.attempts)
	if err != nil {
		return it, nil, err
	}
	if it.Message.Kind == Held {
		if it.Release, err = e.resolve(it); err != nil {
			return it, nil, heldError{err}
		}
	}
	if err := e.store.RecordAttempt(context.WithoutCancel(e.ctx), e.wall(), p.ref()); err != nil {
		return it, nil, err
	}
	e.mu.Lock()
	p.attempts++
	e.counts.Attempts++
	e.mu.Unlock()
	outcome, err := e.deliverer.Deliver(e.ctx, it)
	if outcome == nil && err == nil {
		outcome = &upstream.Outcome{}
	}
	return it, outcome, err
}

func (e *Engine) resolve(it Item) (Release, error) {
	if e.resolver == nil {
		return nil, errNoResolver
	}
	return e.resolver.Resolve(e.ctx, it)
}

// ask looks whether there is a certificate for a held parcel; it then goes to
// the line of those that are delivered. It is a goroutine of its own.
func (e *Engine) ask(p *parcel) {
	began := e.wall()
	it, err := readItem(e.store, p.ref())
	it.Attempts = int(p.attempts)
	if err == nil {
		if _, err = e.resolve(it); err != nil {
			err = heldError{err}
		}
	}
	e.mu.Lock()
	e.looking--
	e.mu.Unlock()
	if err == nil {
		e.release(p)
	} else {
		e.conclude(p, judge(e.ctx, err), Attempt{Item: it, Err: err, Arrived: p.msg.arrival, Began: began})
	}
	e.kick()
}

// release lets a parcel go that waited for its key. From now on its age
// counts anew.
func (e *Engine) release(p *parcel) {
	e.change(p, func() {
		n := readNote(p.note)
		n.Released, n.Reason, n.Reply = e.wall(), reason.None, reply.Reply{}
		p.note = n.encode()
		p.status &^= needsKey
		p.due = e.elapsed()
		e.age(p.msg)
	})
}

// conclude acts upon a verdict.
func (e *Engine) conclude(p *parcel, v verdict, a Attempt) {
	var held heldError
	switch {
	case v == vanished:
		e.forget(p)
		return
	case v == interrupted:
		e.change(p, nil)
		return
	case v == taken:
		e.sent(p, a)
	case v == damaged && errors.Is(a.Err, errMeta) && !errors.Is(a.Err, spool.ErrDamaged):
		e.freeze(p, a)
	case v == damaged:
		e.lost(p, a)
	case errors.As(a.Err, &held):
		e.hold(p, a)
	case v == refused:
		n := readNote(p.note).after(a.Err, a.Outcome)
		e.fail(p, Bounced, n, a)
	default:
		e.later(p, v, a)
	}
}
