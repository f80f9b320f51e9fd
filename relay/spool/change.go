package spool

import (
	"encoding/binary"
	"slices"
)

// The changes in a journal's frames; see replay for what each does.
const (
	opBegin    = 1 + iota // a snapshot starts: what stood before is void
	opSnapshot            // the snapshot is complete
	opState               // all of a message's state
	opDead                // frames in a segment that do not count any more
	opEnd                 // where a segment ends
	opAttempt
	opUpdate
	opDone
	opRemove
)

func appendRef(op byte, u uid, parcel int) []byte {
	b := append([]byte{op}, u[:]...)
	return binary.AppendUvarint(b, uint64(parcel))
}

func attemptChange(u uid, parcel int, at int64) []byte {
	return binary.AppendVarint(appendRef(opAttempt, u, parcel), at)
}

func updateChange(u uid, parcel int, st State) []byte {
	return appendSet(appendRef(opUpdate, u, parcel), st)
}

func doneChange(u uid, parcel int) []byte { return appendRef(opDone, u, parcel) }
func removeChange(u uid) []byte           { return append([]byte{opRemove}, u[:]...) }

// ending says of a segment that nothing of it lies beyond end, and that all
// before synced was durable.
type ending struct{ end, synced int64 }

func endChange(segment uint64, e ending) []byte {
	b := binary.AppendUvarint([]byte{opEnd}, segment)
	return binary.AppendUvarint(binary.AppendUvarint(b, uint64(e.end)), uint64(e.synced))
}

func appendSet(b []byte, st State) []byte {
	b = append(b, st.Status)
	b = binary.AppendVarint(b, stamp(st.Next))
	return appendBytes(b, st.Note)
}

// appendState encodes all that can change of a message, and its id, so that
// a message whose record is lost can be named.
func appendState(b []byte, e *entry) []byte {
	b = append(b, opState)
	b = append(b, e.uid[:]...)
	b = appendBytes(b, []byte(e.id))
	b = binary.AppendUvarint(b, uint64(len(e.parcels)))
	for _, p := range e.parcels {
		done := byte(0)
		if p.Done {
			done = 1
		}
		b = append(b, done)
		b = binary.AppendUvarint(b, uint64(p.Attempts))
		b = binary.AppendVarint(b, stamp(p.Last))
		b = appendSet(b, p)
	}
	return b
}

// stateSize is an upper bound of what the message takes in a snapshot.
func stateSize(e *entry) int64 { return statesSize(e.id, e.parcels) }

func (r *record) stateSize() int64 { return statesSize(r.id, r.states) }

func statesSize(id string, states []State) int64 {
	n := 1 + len(uid{}) + 2 + len(id) + 3
	for _, p := range states {
		n += noteSize(p.Note) + 1 + 5 + 10 + 1 + 10
	}
	return int64(n)
}

func noteSize(note []byte) int { return 2 + len(note) }

// appendDead encodes the tombstones of a segment, in changes of that size at most.
func appendDead(seg *segment, size int) [][]byte {
	var all [][]byte
	for some := range slices.Chunk(seg.dead, size/len(uid{})) {
		b := binary.AppendUvarint([]byte{opDead}, seg.number)
		b = binary.AppendUvarint(b, uint64(len(some)))
		for _, u := range some {
			b = append(b, u[:]...)
		}
		all = append(all, b)
	}
	return all
}
