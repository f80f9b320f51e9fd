package queue

import (
	"time"

	"sealpost/internal/reason"
	"sealpost/relay/reply"
)

// hold lets a parcel wait for its key until it is too old.
func (e *Engine) hold(p *parcel, a Attempt) {
	a.Result = Waits
	e.mu.Lock()
	n := readNote(p.note).after(a.Err, nil)
	expired := p.status.has(needsKey) && !e.wall().Before(p.msg.arrival.Add(e.times.HoldExpire))
	e.mu.Unlock()
	if expired {
		e.fail(p, Expired, expiredHeld(n), a)
		return
	}
	e.change(p, func() {
		p.note, p.status = n.encode(), p.status|needsKey|tried
		p.due = e.elapsed() + vary(e.times.HoldRecheck)
		e.clamp(p)
		a.Next = e.wall().Add(p.due - e.elapsed())
	})
	e.tell(a)
}

// expiredHeld is the end of a copy that nobody found a certificate for. A
// directory that never answered is no proof that there is none.
func expiredHeld(n note) note {
	n.Status = reply.Enhanced{5, 7, 1}
	if n.Reason == reason.LookupUnavailable || n.Reason == reason.None {
		n.Status, n.Reason = reply.Enhanced{5, 4, 7}, reason.LookupUnavailable
	}
	return n
}

// later puts a parcel off until its next attempt.
func (e *Engine) later(p *parcel, v verdict, a Attempt) {
	a.Result = Later
	e.mu.Lock()
	n := readNote(p.note).after(a.Err, a.Outcome)
	expired := !e.wall().Before(e.expiry(p)) && (v != unreachable || e.health.misses >= sureMisses)
	e.mu.Unlock()
	if expired {
		n.Status, n.Reason = errExpired.Reply.Enhanced, reason.MessageExpired
		e.fail(p, Expired, n, a)
		return
	}
	e.change(p, func() {
		p.note, p.status = n.encode(), p.status|tried
		p.due = e.elapsed() + e.wait(p, n)
		if v == unreachable && e.health.away {
			p.due = e.elapsed() // it waits in line until upstream is back
		}
		e.clamp(p)
		a.Next = e.wall().Add(p.due - e.elapsed())
		if at, waiting := e.health.nextProbe(); waiting {
			a.Next = e.wall().Add(max(p.due, at) - e.elapsed())
		}
	})
	e.tell(a)
}

// wait is how long a parcel rests after an attempt. The caller holds e.mu.
func (e *Engine) wait(p *parcel, n note) time.Duration {
	attempts := int(p.attempts)
	if n.Through {
		attempts++
	}
	return vary(e.times.interval(attempts))
}

// expiry is when a parcel gets too old to be tried. The caller holds e.mu.
func (e *Engine) expiry(p *parcel) time.Time {
	from := p.msg.arrival
	if released := readNote(p.note).Released; released.After(from) {
		from = released
	}
	return from.Add(e.times.Expire)
}

// clamp has a parcel tried once more at the moment when it gets too old, and
// not only some interval later. The caller holds e.mu.
func (e *Engine) clamp(p *parcel) {
	if left := e.end(p).Sub(e.wall()); left > 0 {
		p.due = min(p.due, e.elapsed()+left)
	}
}

// end is when a parcel will be given up as things are. The caller holds e.mu.
func (e *Engine) end(p *parcel) time.Time {
	if p.status.has(needsKey) {
		return p.msg.arrival.Add(e.times.HoldExpire)
	}
	return e.expiry(p)
}
