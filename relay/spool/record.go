package spool

import (
	"encoding/binary"
	"time"
)

// recordVersion is the version of a message's index; see appendIndex.
const recordVersion = 1

const (
	flagPrivate  = 1 << iota // the body is an age file
	flagExternal             // the body is a file of its own
)

// record is the index of one message on disk, the sealed payload of its frame.
// Behind it in the frame follow the sealed metas, then the body unless that is
// a file of its own.
type record struct {
	uid     uid
	id      string
	arrival time.Time
	flags   byte
	size    int64    // of the body as given
	stored  int64    // of the body as stored
	sum     [32]byte // SHA-256 of the body as stored
	metas   []int64  // lengths: of the message's, then of each parcel's
	states  []State
}

func (r *record) private() bool  { return r.flags&flagPrivate != 0 }
func (r *record) external() bool { return r.flags&flagExternal != 0 }

// append encodes the index. Its length depends on the message only, never on
// where the frame goes.
func (r *record) append(b []byte) []byte {
	b = append(b, recordVersion)
	b = append(b, r.uid[:]...)
	b = appendBytes(b, []byte(r.id))
	b = binary.AppendVarint(b, stamp(r.arrival))
	b = append(b, r.flags)
	b = binary.AppendUvarint(b, uint64(r.size))
	b = binary.AppendUvarint(b, uint64(r.stored))
	b = append(b, r.sum[:]...)
	b = binary.AppendUvarint(b, uint64(r.metas[0]))
	b = binary.AppendUvarint(b, uint64(len(r.states)))
	for i, st := range r.states {
		b = binary.AppendUvarint(b, uint64(r.metas[i+1]))
		b = append(b, st.Status)
		b = binary.AppendVarint(b, stamp(st.Next))
		b = appendBytes(b, st.Note)
	}
	return b
}

// parseRecord is the reverse of append.
func parseRecord(b []byte) (*record, bool) {
	const limit = 1 << 50
	d := decoder{b: b}
	if d.byte() != recordVersion {
		return nil, false
	}
	r := &record{uid: d.uid(), id: string(d.bytes()), arrival: d.time(), flags: d.byte()}
	r.size, r.stored = d.size(limit), d.size(limit)
	copy(r.sum[:], d.fixed(int64(len(r.sum))))
	r.metas = append(r.metas, d.size(limit))
	parcels := d.size(maxParcels)
	for range parcels {
		if d.bad {
			return nil, false
		}
		r.metas = append(r.metas, d.size(limit))
		r.states = append(r.states, State{Status: d.byte(), Next: d.time(), Note: d.bytes()})
	}
	return r, !d.bad && len(d.b) == 0 && parcels > 0 && r.id != ""
}

// bodyAt is where the body starts in a frame whose head is that long.
func (r *record) bodyAt(head int64) int64 {
	for _, n := range r.metas {
		head += n + sealOverhead
	}
	return head
}

// length is that of the whole frame.
func (r *record) length(head int64) int64 {
	n := r.bodyAt(head)
	if !r.external() {
		n += r.stored
	}
	return aligned(n)
}

// metaContext binds a sealed meta to its message and its part of it.
func metaContext(u uid, part int) []byte {
	return binary.BigEndian.AppendUint32(u[:], uint32(part))
}
