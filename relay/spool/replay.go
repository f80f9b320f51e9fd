package spool

import "cmp"

// saved is what the journal says of one message.
type saved struct {
	id      string // known from a snapshot only
	parcels []savedParcel
	removed bool
	known   bool // in the last snapshot
	found   bool // its record was found in a segment
}

type savedParcel struct {
	State
	set bool // Status, Next and Note were recorded
}

// replay is the state that a journal gives.
type replay struct {
	messages map[uid]*saved
	dead     map[uint64]map[uid]bool
	ends     map[uint64]ending
	complete bool // a whole snapshot was read
}

func newReplay() *replay {
	r := &replay{}
	r.begin()
	return r
}

func (r *replay) begin() {
	r.messages = make(map[uid]*saved)
	r.dead = make(map[uint64]map[uid]bool)
	r.ends = make(map[uint64]ending)
	r.complete = false
}

// frame applies all changes of a frame; false when it cannot be understood.
func (r *replay) frame(payload []byte) bool {
	d := &decoder{b: payload}
	for len(d.b) > 0 {
		r.change(d)
	}
	return !d.bad
}

func (r *replay) change(d *decoder) {
	switch d.byte() {
	case opBegin:
		r.begin()
	case opSnapshot:
		r.complete = true
	case opState:
		r.state(d)
	case opDead:
		r.tombstones(d)
	case opEnd:
		segment := d.uint()
		r.ends[segment] = ending{end: d.size(1 << 50), synced: d.size(1 << 50)}
	case opAttempt:
		if p := r.parcel(d); p != nil {
			p.Attempts++
			p.Last = d.time()
		}
	case opUpdate:
		if p := r.parcel(d); p != nil {
			p.readSet(d)
		}
	case opDone:
		if p := r.parcel(d); p != nil {
			p.Done = true
		}
	case opRemove:
		if m := r.message(d.uid()); !d.bad {
			m.removed = true
		}
	default:
		d.fail()
	}
}

func (p *savedParcel) readSet(d *decoder) {
	p.Status, p.Next, p.Note = d.byte(), d.time(), append([]byte(nil), d.bytes()...)
	p.set = true
}

func (r *replay) message(u uid) *saved {
	m := r.messages[u]
	if m == nil {
		m = &saved{}
		r.messages[u] = m
	}
	return m
}

// parcel reads which parcel a change is for.
func (r *replay) parcel(d *decoder) *savedParcel {
	u, n := d.uid(), d.size(maxParcels-1)
	if d.bad {
		return nil
	}
	m := r.message(u)
	for int64(len(m.parcels)) <= n {
		m.parcels = append(m.parcels, savedParcel{})
	}
	return &m.parcels[n]
}

func (r *replay) state(d *decoder) {
	u := d.uid()
	m := &saved{id: string(d.bytes()), known: true}
	parcels := d.size(maxParcels)
	for i := int64(0); i < parcels && !d.bad; i++ {
		p := savedParcel{}
		p.Done = d.byte() != 0
		p.Attempts = int(d.size(1 << 31))
		p.Last = d.time()
		p.readSet(d)
		m.parcels = append(m.parcels, p)
	}
	if !d.bad {
		r.messages[u] = m
	}
}

func (r *replay) tombstones(d *decoder) {
	segment := d.uint()
	dead := r.dead[segment]
	if dead == nil {
		dead = make(map[uid]bool)
		r.dead[segment] = dead
	}
	for n := d.size(1 << 32); n > 0 && !d.bad; n-- {
		dead[d.uid()] = true
	}
}

// apply brings a message from its record up to date; false when it is over.
func (r *replay) apply(e *entry) bool {
	m := r.messages[e.uid]
	if m == nil {
		return true
	}
	m.found = true
	for i, p := range m.parcels[:min(len(m.parcels), len(e.parcels))] {
		if p.set {
			e.setState(i, p.State)
		}
		e.parcels[i].Attempts, e.parcels[i].Last = p.Attempts, p.Last
		if p.Done {
			e.parcels[i].Done = true
			e.open--
		}
	}
	return !m.removed && e.open > 0
}

// over reports that nothing remains to be done for a saved message.
func (m *saved) over() bool {
	for _, p := range m.parcels {
		if !p.Done {
			return m.removed
		}
	}
	return m.removed || len(m.parcels) > 0
}

// newer orders two copies of a record that compaction left behind.
func newer(a, b *entry) bool {
	return cmp.Or(cmp.Compare(a.seg.number, b.seg.number), cmp.Compare(a.off, b.off)) > 0
}
