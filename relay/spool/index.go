package spool

import (
	"slices"
	"time"
)

// uid is the spool's own name of one message: drawn by chance, never twice,
// so that a change recorded for one message can never meet another.
type uid [16]byte

// entry is a message in memory: where it lies and how its parcels stand.
type entry struct {
	uid     uid
	id      string
	seg     *segment
	off     int64
	length  int64 // of the frame
	head    int64 // of the frame's header and index
	body    int64 // stored size of a body in a file of its own, else 0
	arrival time.Time
	private bool
	damaged bool
	parcels []State
	open    int // parcels that are not done
}

func (e *entry) stored() int64 { return e.length + e.body }

func (e *entry) info() Info {
	return Info{
		ID: e.id, Arrival: e.arrival, Private: e.private, Stored: e.stored(),
		Damaged: e.damaged, States: slices.Clone(e.parcels),
	}
}

// setState takes over what a caller may set.
func (e *entry) setState(parcel int, st State) {
	p := &e.parcels[parcel]
	p.Status, p.Next, p.Note = st.Status, st.Next, st.Note
}

// insert makes a durable message known. The caller holds s.mu.
func (s *Store) insert(e *entry) {
	s.entries[e.id] = e
	s.byUID[e.uid] = e
	e.seg.live += e.length
	e.seg.entries[e.uid] = e
	s.used += e.stored()
	s.open += e.open
	s.stateSize += stateSize(e)
}

// trashed is the body file of a message that is over.
type trashed struct {
	uid     uid
	damaged bool // goes to quarantine
}

// drop forgets a message whose end is durable; its body file and, when
// nothing else lives there, its segment are left to the cleaner. The caller
// holds s.mu.
func (s *Store) drop(e *entry) {
	if s.byUID[e.uid] != e {
		return
	}
	delete(s.entries, e.id)
	delete(s.byUID, e.uid)
	s.leave(e)
	s.used -= e.stored()
	s.open -= e.open
	s.stateSize -= stateSize(e)
	if e.body > 0 {
		s.trash = append(s.trash, trashed{e.uid, e.damaged})
	}
	s.signalCleaner()
}

// leave takes the entry out of its segment, where its record remains as dead.
func (s *Store) leave(e *entry) {
	delete(e.seg.entries, e.uid)
	e.seg.live -= e.length
	s.bury(e.seg, e.uid)
}

// bury notes that a record in the segment is dead, for as long as the segment
// is not used again.
func (s *Store) bury(seg *segment, u uid) {
	seg.dead = append(seg.dead, u)
	s.stateSize += int64(len(u))
}

// finish marks a parcel as done and drops the message with its last one.
func (s *Store) finish(e *entry, parcel int) {
	if s.byUID[e.uid] != e || e.parcels[parcel].Done {
		return
	}
	e.parcels[parcel].Done = true
	e.open--
	s.open--
	if e.open == 0 {
		s.drop(e)
	}
}
