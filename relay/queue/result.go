package queue

import (
	"context"
	"errors"

	"sealpost/internal/reason"
	"sealpost/relay/dsn"
	"sealpost/relay/reply"
	"sealpost/relay/spool"
)

// Our own words for what ends a message without upstream's.
var (
	errDamaged = reply.Errorf(554, reply.Enhanced{5, 3, 0}, reason.MessageDamaged, "The stored message was found damaged and cannot be delivered")
	errExpired = reply.Errorf(554, reply.Enhanced{5, 4, 7}, reason.MessageExpired, "The message could not be delivered in time")
)

// change alters an active parcel, writes it to the spool and puts it where it
// belongs now. A parcel that was deleted meanwhile stays away.
func (e *Engine) change(p *parcel, alter func()) {
	e.mu.Lock()
	there := p.lane == active
	if there && alter != nil {
		alter()
	}
	e.mu.Unlock()
	if !there {
		return
	}
	if alter != nil && errors.Is(e.save(p), spool.ErrNotFound) {
		e.forget(p)
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if p.lane == active {
		e.settle(p)
	}
}

// forget drops a parcel that the spool does not have any more.
func (e *Engine) forget(p *parcel) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if p.lane != gone {
		e.move(p, gone)
		e.plan(p.msg)
	}
}

// sent ends a parcel that upstream took. Where upstream does not report
// itself and the sender wants to know, the parcel owes a report first.
func (e *Engine) sent(p *parcel, a Attempt) {
	a.Result = Sent
	e.tell(a)
	wanted := a.Outcome.DSNDropped && dsn.Wanted(a.Item.Copy.Notify, dsn.Relayed) && !a.Item.Message.From.IsNull()
	if wanted {
		n := note{Reply: a.Outcome.Reply, Remote: a.Outcome.Server, Action: dsn.Relayed, Status: reply.Enhanced{2, 0, 0}}
		if e.owe(p, n) {
			return
		}
		// A report that cannot be written down is dropped rather than risking
		// that the message goes out twice.
		e.log.Error("queue: no report that the message was relayed", "id", p.msg.id, "to", a.Item.Copy.To.String())
	}
	e.finish(p)
}

// owe writes down that a parcel is over and a report about it is owed.
func (e *Engine) owe(p *parcel, n note) bool {
	e.mu.Lock()
	before, past := p.status, p.note
	p.status, p.note = p.status&noticed|reporting, n.encode()
	e.mu.Unlock()
	err := e.save(p)
	e.mu.Lock()
	defer e.mu.Unlock()
	if err != nil && n.Action == dsn.Relayed {
		p.status, p.note = before, past
		return false
	}
	// A failure is reported even if the spool could not note it.
	if p.lane != gone {
		e.settle(p)
	}
	return true
}

// finish takes parcels that are over out of the spool; what cannot be taken
// out is not delivered again, but tried to be taken out again.
func (e *Engine) finish(parcels ...*parcel) {
	refs := make([]spool.Ref, len(parcels))
	for i, p := range parcels {
		refs[i] = p.ref()
	}
	err := e.store.Done(context.Background(), refs...)
	if errors.Is(err, spool.ErrNotFound) {
		err = nil
	}
	if err != nil {
		e.log.Error("queue: a message that is done could not be taken out of the spool", "id", parcels[0].msg.id, "error", err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, p := range parcels {
		switch {
		case p.lane == gone:
		case err == nil:
			e.move(p, gone)
		default:
			e.move(p, over)
			p.msg.retryAt = e.elapsed() + again
		}
	}
	e.plan(parcels[0].msg)
	e.kick()
}

// fail ends a parcel for good.
func (e *Engine) fail(p *parcel, r Result, n note, a Attempt) {
	a.Result = r
	e.tell(a)
	n.Action = dsn.Failed
	e.owe(p, n)
}

// lost ends a parcel whose bytes the spool lost.
func (e *Engine) lost(p *parcel, a Attempt) {
	e.log.Error("queue: a damaged message is given up", "id", p.msg.id, "parcel", p.index, "error", a.Err)
	a.Err = errDamaged.Because(a.Err)
	e.fail(p, Bounced, note{}.after(a.Err, nil), a)
}

// freeze keeps a parcel whose record is whole and not understood: another
// version of the program may know it.
func (e *Engine) freeze(p *parcel, a Attempt) {
	e.log.Error("queue: a message cannot be understood and is kept on hold", "id", p.msg.id, "parcel", p.index, "error", a.Err)
	a.Result = Frozen
	e.tell(a)
	e.change(p, func() {
		n := readNote(p.note)
		n.Reason = reason.InternalError
		p.note, p.status = n.encode(), p.status|frozen
	})
}

// tell counts an attempt and lets the observer know.
func (e *Engine) tell(a Attempt) {
	e.mu.Lock()
	e.counts.add(a.Result)
	e.mu.Unlock()
	e.observe(a)
}
