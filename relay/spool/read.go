package spool

import (
	"errors"
	"fmt"
	"iter"
)

// place is where a message lies; while it is pinned the segment is not used
// again.
type place struct {
	e            *entry
	seg          *segment
	off          int64
	length, head int64
}

// pin finds a message and holds its segment; every pin needs a release.
func (s *Store) pin(id string) (place, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entries[id]
	if e == nil {
		return place{}, fmt.Errorf("%w: %s", ErrNotFound, id)
	}
	if s.closed {
		return place{}, ErrClosed
	}
	e.seg.readers++
	return place{e: e, seg: e.seg, off: e.off, length: e.length, head: e.head}, nil
}

func (s *Store) release(p place) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p.seg.readers--
	s.signalCleaner()
}

// openHead reads a record from the head of its frame.
func (s *Store) openHead(p place, b []byte) (*record, error) {
	f, ok := parseFrame(b)
	if !ok || f.number != p.seg.number || f.offset != p.off || f.head() != p.head {
		return nil, fmt.Errorf("%w: frame header", ErrDamaged)
	}
	index, err := s.keys.segment.open(b[frameHeader:p.head], b[:frameHeader])
	if err != nil {
		return nil, err
	}
	r, ok := parseRecord(index)
	if !ok || r.length(p.head) != f.length {
		return nil, fmt.Errorf("%w: index", ErrDamaged)
	}
	return r, nil
}

func (s *Store) readRecord(p place) (*record, error) {
	b := make([]byte, p.head)
	if err := readFull(p.seg.file, b, p.off); err != nil {
		return nil, err
	}
	return s.openHead(p, b)
}

// readMetas reads parts of a message: 0 is its own meta, then its parcels'.
func (s *Store) readMetas(id string, from, to int) ([][]byte, error) {
	p, err := s.pin(id)
	if err != nil {
		return nil, err
	}
	defer s.release(p)
	r, err := s.readRecord(p)
	if err != nil {
		return nil, s.found(p, err)
	}
	if from < 0 || from >= len(r.metas) {
		return nil, fmt.Errorf("%w: %s parcel %d", ErrNotFound, id, from-1)
	}
	if to > len(r.metas) || to < 0 {
		to = len(r.metas)
	}
	off := p.off + p.head
	for _, n := range r.metas[:from] {
		off += n + sealOverhead
	}
	metas := make([][]byte, 0, to-from)
	for part := from; part < to; part++ {
		sealed := make([]byte, r.metas[part]+sealOverhead)
		err := readFull(p.seg.file, sealed, off)
		if err == nil {
			var meta []byte
			meta, err = s.keys.meta.open(sealed, metaContext(r.uid, part))
			metas = append(metas, meta)
		}
		if err != nil {
			return nil, s.found(p, err)
		}
		off += int64(len(sealed))
	}
	return metas, nil
}

// Meta reads the message's own meta.
func (s *Store) Meta(id string) ([]byte, error) {
	metas, err := s.readMetas(id, 0, 1)
	if err != nil {
		return nil, err
	}
	return metas[0], nil
}

// Parcel reads the meta of one parcel.
func (s *Store) Parcel(ref Ref) ([]byte, error) {
	if ref.Parcel < 0 {
		return nil, fmt.Errorf("%w: %s parcel %d", ErrNotFound, ref.ID, ref.Parcel)
	}
	metas, err := s.readMetas(ref.ID, ref.Parcel+1, ref.Parcel+2)
	if err != nil {
		return nil, err
	}
	return metas[0], nil
}

// Get reads a message without its body: Meta, Private, and the parcels with
// their metas and present states. Like all that reads, it gives ErrDamaged for
// bytes that are not what was written, after a copy of them went to
// quarantine; the message stays listed, with Info.Damaged, until Done or
// Delete, so that its sender can be told.
func (s *Store) Get(id string) (Entry, error) {
	metas, err := s.readMetas(id, 0, -1)
	if err != nil {
		return Entry{}, err
	}
	info, err := s.Info(id)
	if err != nil {
		return Entry{}, err
	}
	e := Entry{ID: id, Meta: metas[0], Private: info.Private}
	for i, meta := range metas[1:] {
		e.Parcels = append(e.Parcels, Parcel{Meta: meta, State: info.States[i]})
	}
	return e, nil
}

// Info gives what is known of a message without reading the disk.
func (s *Store) Info(id string) (Info, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entries[id]
	if e == nil {
		return Info{}, fmt.Errorf("%w: %s", ErrNotFound, id)
	}
	return e.info(), nil
}

// All gives every message in the spool, in no order: the seed of a schedule,
// the content of a listing. Messages that come or go meanwhile may or may not
// be among them.
func (s *Store) All() iter.Seq[Info] {
	return func(yield func(Info) bool) {
		s.mu.Lock()
		all := make([]*entry, 0, len(s.entries))
		for _, e := range s.entries {
			all = append(all, e)
		}
		s.mu.Unlock()
		for _, e := range all {
			s.mu.Lock()
			info, there := e.info(), s.byUID[e.uid] == e
			s.mu.Unlock()
			if there && !yield(info) {
				return
			}
		}
	}
}

// found looks at an error of reading. Damage is quarantined and reported,
// once; a read that failed is not: it may succeed the next time.
func (s *Store) found(p place, err error) error {
	if !errors.Is(err, ErrDamaged) {
		return fmt.Errorf("spool: %s: %w", p.e.id, err)
	}
	s.mu.Lock()
	first := !p.e.damaged
	p.e.damaged = true
	s.mu.Unlock()
	if first {
		d := damage{File: segmentName(p.seg.number), Offset: p.off, Length: p.length, ID: p.e.id, Why: err.Error()}
		if s.quarantine(p.seg.file, d) != nil {
			s.mu.Lock()
			p.seg.keep = true
			s.mu.Unlock()
		}
	}
	return fmt.Errorf("spool: %s: %w", p.e.id, err)
}
