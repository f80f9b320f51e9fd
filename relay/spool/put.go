package spool

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
)

// Put takes a message and returns when it is durable. After an error the
// message is not in the spool and never will be: a caller may answer 4yz and
// expect it again. ErrFull comes before anything is written. A context that
// ends while the commit runs does not cut it off: the answer is always one of
// the two.
func (s *Store) Put(ctx context.Context, e Entry) error {
	if err := e.check(); err != nil {
		return err
	}
	r := s.plan(&e)
	if limit := s.opt.SegmentSize / 2; r.length(r.headSize()) > limit {
		return fmt.Errorf("%w: %s: metas and notes do not fit into %d bytes", ErrTooLarge, e.ID, limit)
	}
	need := r.length(r.headSize()) + r.file()
	if err := s.reserve(ctx, r, need); err != nil {
		return err
	}
	err := s.put(ctx, &e, r)
	s.mu.Lock()
	delete(s.pending, e.ID)
	s.reserved -= need
	s.reservedState -= r.stateSize()
	s.mu.Unlock()
	return err
}

// plan fixes everything of the record but the sum of its body.
func (s *Store) plan(e *Entry) *record {
	r := &record{id: e.ID, arrival: s.opt.Now().UTC(), size: e.Body.Size(), metas: []int64{int64(len(e.Meta))}}
	rand.Read(r.uid[:])
	r.stored = r.size
	if e.Private {
		r.flags |= flagPrivate
		r.stored = sealedSize(r.size)
	}
	if r.stored > s.opt.BigBody {
		r.flags |= flagExternal
	}
	for _, p := range e.Parcels {
		r.metas = append(r.metas, int64(len(p.Meta)))
		r.states = append(r.states, State{Status: p.State.Status, Next: p.State.Next, Note: bytes.Clone(p.State.Note)})
	}
	return r
}

// headSize is the length of the frame's header and sealed index.
func (r *record) headSize() int64 { return frameHeader + sealOverhead + int64(len(r.append(nil))) }

// file is the size of the body's own file, or 0.
func (r *record) file() int64 {
	if r.external() {
		return r.stored
	}
	return 0
}

// reserve keeps the id, the bytes and room in the journal for the message.
func (s *Store) reserve(ctx context.Context, r *record, need int64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	err := s.admit(r, need)
	state := s.stateSize + s.reservedState
	s.mu.Unlock()
	if err != nil {
		return err
	}
	if err := s.ensureJournal(state); err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.pending, r.id)
		s.reserved -= need
		s.reservedState -= r.stateSize()
		return err
	}
	return nil
}

func (s *Store) admit(r *record, need int64) error {
	switch {
	case s.closed:
		return ErrClosed
	case s.entries[r.id] != nil || s.pending[r.id]:
		return fmt.Errorf("%w: %s", ErrExists, r.id)
	case s.used+s.reserved+need > s.opt.Limit:
		return fmt.Errorf("%w: %d of %d bytes are in use, %s needs %d", ErrFull, s.used+s.reserved, s.opt.Limit, r.id, need)
	}
	s.pending[r.id] = true
	s.reserved += need
	s.reservedState += r.stateSize()
	return nil
}

// put writes the body, where it is a file of its own, and commits the record.
func (s *Store) put(ctx context.Context, e *Entry, r *record) error {
	if r.external() {
		if err := s.writeBody(e, r); err != nil {
			return asFull(err)
		}
	}
	err := s.append(ctx, e, r)
	if err != nil && r.external() {
		s.discard(bodyName(r.uid))
	}
	return err
}

// append builds the frame in memory and hands it to the committer.
func (s *Store) append(ctx context.Context, e *Entry, r *record) error {
	head := r.headSize()
	length := r.length(head)
	weight := min(length, s.opt.Memory)
	if err := s.memory.Acquire(ctx, weight); err != nil {
		return err
	}
	defer s.memory.Release(weight)
	buf := s.buffer(length)
	defer s.recycle(buf)
	if err := s.fill(*buf, e, r); err != nil {
		return err
	}
	return s.submit(appendRequest{frame: *buf, index: r.append(nil), placed: func(seg *segment, off int64) {
		s.insert(newEntry(r, seg, off, length, head))
	}})
}

// fill writes metas and body to their places in the frame, and the padding.
func (s *Store) fill(buf []byte, e *Entry, r *record) error {
	at := r.headSize()
	for part, n := range r.metas {
		meta := e.Meta
		if part > 0 {
			meta = e.Parcels[part-1].Meta
		}
		s.keys.meta.seal(buf[at:at], meta, metaContext(r.uid, part))
		at += n + sealOverhead
	}
	if !r.external() {
		body := buf[at : at+r.stored]
		if err := s.writeContent(&window{b: body}, e); err != nil {
			return err
		}
		r.sum = sha256.Sum256(body)
		at += r.stored
	}
	clear(buf[at:])
	return nil
}

// newEntry is the message as it lies in a segment.
func newEntry(r *record, seg *segment, off, length, head int64) *entry {
	return &entry{
		uid: r.uid, id: r.id, seg: seg, off: off, length: length, head: head, body: r.file(),
		arrival: r.arrival, private: r.private(), parcels: r.states, open: len(r.states),
	}
}
