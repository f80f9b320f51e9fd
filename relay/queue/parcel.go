package queue

import (
	"sync"
	"time"

	"sealpost/relay/spool"
)

// A lane is where a parcel is in the engine.
type lane byte

const (
	resting lane = iota // in the schedule
	asking              // due, and waiting for a place to ask for its certificate
	ready               // due, and waiting for a place to be delivered
	active              // a goroutine has it
	kept                // by an operator
	failed              // a report is owed
	over                // done, and the spool does not know it yet
	gone
	lanes = iota
)

// A parcel is one copy in memory. All but msg and index is guarded by
// Engine.mu; its state in the spool is written under msg.write.
type parcel struct {
	msg      *message
	index    int32
	attempts int32
	slot     int32 // in the schedule
	lane     lane
	status   status
	due      time.Duration
	note     []byte
}

func (p *parcel) when() time.Duration { return p.due }
func (p *parcel) place() *int32       { return &p.slot }
func (p *parcel) ref() spool.Ref      { return spool.Ref{ID: p.msg.id, Parcel: int(p.index)} }

// A message in memory. What the spool has of it is read when it is needed.
type message struct {
	id      string
	arrival time.Time
	parcels []parcel
	count   [lanes]int32

	// write is held while the state of a parcel is written to the spool, so
	// that what is written last is what was decided last. It is taken before
	// Engine.mu.
	write sync.Mutex

	slot     int32         // in the deadlines
	deadline time.Duration // when an errand is due
	onErrand bool
	checkAt  time.Duration // to look at its age
	reportAt time.Duration // to report failures, though other parcels are busy
	retryAt  time.Duration // not before, after the spool refused
}

func (m *message) when() time.Duration { return m.deadline }
func (m *message) place() *int32       { return &m.slot }

func (m *message) noticed() bool { return m.parcels[0].status.has(noticed) }

// pending is how many parcels may still be delivered.
func (m *message) pending() int32 {
	return m.count[resting] + m.count[asking] + m.count[ready] + m.count[active]
}

// busy is how many parcels have something happen to them soon.
func (m *message) busy() int32 { return m.count[asking] + m.count[ready] + m.count[active] }

func newMessage(info spool.Info) *message {
	m := &message{id: info.ID, arrival: info.Arrival, parcels: make([]parcel, len(info.States))}
	for i, st := range info.States {
		m.parcels[i] = parcel{
			msg: m, index: int32(i), attempts: int32(min(st.Attempts, 1<<30)), status: status(st.Status), lane: resting, note: st.Note,
		}
		if st.Done {
			m.parcels[i].lane, m.parcels[i].note = gone, nil
		}
		m.count[m.parcels[i].lane]++
	}
	return m
}

// move puts a parcel into a lane and keeps the books. A message without
// parcels is forgotten. The caller holds e.mu.
func (e *Engine) move(p *parcel, to lane) {
	m := p.msg
	m.count[p.lane]--
	m.count[to]++
	if p.lane == resting {
		e.schedule.remove(p)
	}
	p.lane = to
	switch to {
	case resting:
		e.schedule.set(p)
	case asking:
		e.asking.push(p)
	case ready:
		e.ready.push(p)
	case gone:
		p.note = nil
		if int(m.count[gone]) == len(m.parcels) {
			e.deadlines.remove(m)
			delete(e.messages, m.id)
		}
	}
}

// settle puts a parcel where its status says that it belongs. The caller
// holds e.mu.
func (e *Engine) settle(p *parcel) {
	switch {
	case p.status.has(reporting):
		if p.msg.count[failed] == 0 {
			p.msg.reportAt = e.elapsed() + gather
		}
		e.move(p, failed)
	case p.status.has(frozen):
		e.move(p, kept)
	case p.due > e.elapsed():
		e.move(p, resting)
	default:
		e.enqueue(p)
	}
	e.plan(p.msg)
	e.kick()
}

// admit takes a message into the schedule. What is due goes there too, so that
// the spool is worked through in order. The caller holds e.mu.
func (e *Engine) admit(m *message, states []spool.State) {
	now, wall := e.elapsed(), e.wall()
	if m.arrival.After(wall) {
		m.arrival = wall // the clock was set back
	}
	e.messages[m.id] = m
	e.age(m)
	for i := range m.parcels {
		p := &m.parcels[i]
		if p.lane == gone {
			continue
		}
		p.due = now + min(states[i].Next.Sub(wall), e.times.longest())
		if p.status.has(reporting) || p.status.has(frozen) {
			e.settle(p)
		} else {
			e.move(p, resting)
		}
	}
	e.plan(m)
}

// enqueue puts a parcel that is due into its line.
func (e *Engine) enqueue(p *parcel) {
	if p.status.has(needsKey) {
		e.move(p, asking)
	} else {
		e.move(p, ready)
	}
}

// popLane gives the first parcel in a line that is still meant to be there:
// what was moved on meanwhile is left behind in its line.
func popLane(l *line[*parcel], want lane) *parcel {
	for {
		p, ok := l.pop()
		if !ok {
			return nil
		}
		if p.lane == want {
			return p
		}
	}
}
