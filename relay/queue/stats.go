package queue

import (
	"time"

	"sealpost/relay/dsn"
)

// Counts are totals since the engine was made.
type Counts struct {
	Attempts uint64 // deliveries begun
	// Ends of attempts, by Result.
	Sent, Deferred, Bounced, Expired, Held, Frozen uint64
	// Reports put into the queue.
	Failures, Delays, Relays uint64
	// Unreported are messages that failed and whose sender could not be told:
	// the null sender's, and those whose record was lost.
	Unreported uint64
}

func (c *Counts) add(r Result) {
	switch r {
	case Sent:
		c.Sent++
	case Later:
		c.Deferred++
	case Bounced:
		c.Bounced++
	case Expired:
		c.Expired++
	case Waits:
		c.Held++
	case Frozen:
		c.Frozen++
	}
}

func (c *Counts) report(a dsn.Action) {
	switch a {
	case dsn.Failed:
		c.Failures++
	case dsn.Delayed:
		c.Delays++
	case dsn.Relayed:
		c.Relays++
	}
}

// QueueStats is one queue at one moment.
type QueueStats struct {
	Messages, Parcels int
	Oldest            time.Time // arrival; the zero value when it is empty
}

// Stats is the engine at one moment, for metrics.
type Stats struct {
	// Queues has every State. A message counts in the liveliest state that
	// one of its parcels has.
	Queues map[State]QueueStats
	Counts Counts
	Away   bool // upstream cannot be reached
	Busy   int  // deliveries under way
	Limit  int  // deliveries at once, as upstream bears them now
}

// Stats looks at all messages: some milliseconds for 100000 of them.
func (e *Engine) Stats() Stats {
	e.mu.Lock()
	defer e.mu.Unlock()
	states := States()
	queues := make([]QueueStats, len(states))
	for _, m := range e.messages {
		m.addTo(queues)
	}
	s := Stats{Queues: make(map[State]QueueStats), Counts: e.counts, Away: e.health.away, Busy: e.health.busy, Limit: e.health.limit}
	for i, state := range states {
		s.Queues[state] = queues[i]
	}
	return s
}

// addTo counts a message's parcels in the queues, which are in the order of
// States.
func (m *message) addTo(queues []QueueStats) {
	liveliest := len(queues)
	for i := range m.parcels {
		if p := &m.parcels[i]; p.lane != gone {
			rank := p.state().rank()
			queues[rank].Parcels++
			liveliest = min(liveliest, rank)
		}
	}
	if liveliest == len(queues) {
		return
	}
	q := &queues[liveliest]
	q.Messages++
	if q.Oldest.IsZero() || m.arrival.Before(q.Oldest) {
		q.Oldest = m.arrival
	}
}

// state is where a parcel stands. The caller holds e.mu.
func (p *parcel) state() State {
	if p.lane == active && !p.status.has(needsKey) {
		return Active
	}
	return p.status.state()
}
