package queue

import (
	"time"

	"sealpost/internal/reason"
	"sealpost/relay/reply"
)

const (
	// maxErrands is how many messages are reported about at once.
	maxErrands = 4
	// gather is how long the failures of one message are collected for one
	// report while other copies of it are on their way.
	gather = time.Minute
	// again is the wait before what the spool refused is tried once more.
	again = time.Minute
	// lookAgain is the wait before a message that is due because of its age,
	// and yet may be delivered any moment, is looked at once more.
	lookAgain = 5 * time.Minute
)

// plan sets when something is to be done about a message as a whole. The
// caller holds e.mu.
func (e *Engine) plan(m *message) {
	if m.onErrand || int(m.count[gone]) == len(m.parcels) {
		return
	}
	next := never
	if m.count[over] > 0 {
		next = m.retryAt
	}
	if m.count[failed] > 0 {
		next = min(next, m.reportDue())
	}
	if m.pending() > 0 {
		next = min(next, m.checkAt)
	}
	m.deadline = next
	if next == never {
		e.deadlines.remove(m)
		return
	}
	e.deadlines.set(m)
}

// reportDue is when failures are to be reported: at once, unless other copies
// may soon fail too.
func (m *message) reportDue() time.Duration {
	if m.busy() > 0 {
		return max(m.retryAt, m.reportAt)
	}
	return m.retryAt
}

// age sets when a message has to be looked at because of its age. The caller
// holds e.mu.
func (e *Engine) age(m *message) {
	old := e.times.Expire
	if e.times.DelayAfter > 0 && !m.noticed() {
		old = min(old, e.times.DelayAfter)
	}
	m.checkAt = e.elapsed() + m.arrival.Add(old).Sub(e.wall())
}

// runErrand does what is due for a message as a whole. It is a goroutine of
// its own, and the only one for this message.
func (e *Engine) runErrand(m *message) {
	if done := e.inLane(m, over); len(done) > 0 {
		e.finish(done...)
	}
	e.mu.Lock()
	due := m.count[failed] > 0 && m.reportDue() <= e.elapsed()
	e.mu.Unlock()
	if due {
		e.reportEnds(m)
	}
	expired, late := e.lookAtAge(m)
	for _, p := range expired {
		e.expire(p)
	}
	if len(late) > 0 {
		e.reportDelay(m, late)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.errand--
	m.onErrand = false
	e.plan(m)
	e.kick()
}

// inLane gives the parcels of a message that are in a lane.
func (e *Engine) inLane(m *message, l lane) []*parcel {
	e.mu.Lock()
	defer e.mu.Unlock()
	var all []*parcel
	for i := range m.parcels {
		if m.parcels[i].lane == l {
			all = append(all, &m.parcels[i])
		}
	}
	return all
}

// lookAtAge gives the parcels that are too old and cannot even be tried, and
// those whose delay is to be reported now, and sets when to look again.
func (e *Engine) lookAtAge(m *message) (expired, late []*parcel) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now, wall := e.elapsed(), e.wall()
	if m.pending() == 0 || now < m.checkAt {
		return nil, nil
	}
	delayed := e.times.DelayAfter > 0 && !m.noticed() && !wall.Before(m.arrival.Add(e.times.DelayAfter))
	next := never
	for i := range m.parcels {
		p := &m.parcels[i]
		if p.lane != resting && p.lane != ready && p.lane != asking && p.lane != active {
			continue
		}
		end := e.expiry(p)
		switch {
		case p.status.has(needsKey): // its own questions find out
		case end.After(wall):
			next = min(next, now+end.Sub(wall))
		case p.lane == ready && e.health.away && e.health.misses >= sureMisses:
			e.move(p, active)
			expired = append(expired, p)
			continue
		default:
			next = min(next, now+lookAgain)
		}
		if delayed && (p.lane == resting && p.status.has(tried) || p.lane == ready && e.health.away) {
			late = append(late, p)
		}
	}
	if e.times.DelayAfter > 0 && !m.noticed() {
		next = min(next, max(now+lookAgain, now+m.arrival.Add(e.times.DelayAfter).Sub(wall)))
	}
	m.checkAt = next
	return expired, late
}

// expire gives up a parcel that got too old while upstream was away.
func (e *Engine) expire(p *parcel) {
	it, err := readItem(e.store, p.ref())
	it.Attempts = int(p.attempts)
	n := readNote(p.note)
	if n.Reply == (reply.Reply{}) {
		n = n.after(errExpired.Because(err), nil)
	}
	n.Status, n.Reason = errExpired.Reply.Enhanced, reason.MessageExpired
	e.fail(p, Expired, n, Attempt{Item: it, Err: errExpired, Arrived: p.msg.arrival, Began: e.wall()})
}
