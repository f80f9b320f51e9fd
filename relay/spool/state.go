package spool

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"
)

// refsPerChange bounds the changes of one call that share a frame.
const refsPerChange = 500

// RecordAttempt notes that delivery of the parcels is about to be tried, and
// returns when that is durable. Call it before the connection is made: after
// a crash the count of attempts is then never too low. When one of the parcels
// is not there, none is recorded and the error is ErrNotFound.
func (s *Store) RecordAttempt(ctx context.Context, at time.Time, refs ...Ref) error {
	return s.changeParcels(ctx, refs, func(e *entry, parcel int) ([]byte, func()) {
		return attemptChange(e.uid, parcel, stamp(at)), func() {
			e.parcels[parcel].Attempts++
			e.parcels[parcel].Last = moment(stamp(at))
		}
	})
}

// Done notes that nothing remains to do for the parcels: delivered, or
// bounced. With a message's last parcel the message leaves the spool. A parcel
// that is done already is no error, a message that has left is ErrNotFound.
// It needs no free space on the disk.
func (s *Store) Done(ctx context.Context, refs ...Ref) error {
	return s.changeParcels(ctx, refs, func(e *entry, parcel int) ([]byte, func()) {
		return doneChange(e.uid, parcel), func() { s.finish(e, parcel) }
	})
}

// Update sets Status, Next and Note of a parcel; the rest of st is not looked
// at. It returns when that is durable.
func (s *Store) Update(ctx context.Context, ref Ref, st State) error {
	if err := checkNote(ref.ID, st.Note); err != nil {
		return err
	}
	st.Note = bytes.Clone(st.Note)
	s.mu.Lock()
	state := s.stateSize + s.reservedState + int64(len(st.Note))
	s.mu.Unlock()
	if err := s.ensureJournal(state); err != nil {
		return err
	}
	return s.changeParcels(ctx, []Ref{ref}, func(e *entry, parcel int) ([]byte, func()) {
		return updateChange(e.uid, parcel, st), func() {
			if s.byUID[e.uid] != e {
				return // removed by an earlier change of the same batch
			}
			s.stateSize -= stateSize(e)
			e.setState(parcel, st)
			s.stateSize += stateSize(e)
		}
	})
}

// Delete removes messages, whatever the state of their parcels. When one of
// them is not there, none is removed and the error is ErrNotFound.
func (s *Store) Delete(ctx context.Context, ids ...string) error {
	refs := make([]Ref, len(ids))
	for i, id := range ids {
		refs[i] = Ref{ID: id}
	}
	return s.changeParcels(ctx, refs, func(e *entry, _ int) ([]byte, func()) {
		return removeChange(e.uid), func() { s.drop(e) }
	})
}

// changeParcels records one change for each parcel, all of them or, when one
// is unknown, none. A call for very many can fail in the middle.
func (s *Store) changeParcels(ctx context.Context, refs []Ref, each func(*entry, int) ([]byte, func())) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.known(refs); err != nil {
		return err
	}
	for some := range slices.Chunk(refs, refsPerChange) {
		payload, applies, err := s.encode(some, each)
		if err != nil {
			return err
		}
		if err := s.change(payload, func() {
			for _, apply := range applies {
				apply()
			}
		}); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) known(refs []Ref) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, ref := range refs {
		if _, err := s.find(ref); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) encode(refs []Ref, each func(*entry, int) ([]byte, func())) ([]byte, []func(), error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var payload []byte
	applies := make([]func(), 0, len(refs))
	for _, ref := range refs {
		e, err := s.find(ref)
		if err != nil {
			return nil, nil, err
		}
		b, apply := each(e, ref.Parcel)
		payload = append(payload, b...)
		applies = append(applies, apply)
	}
	return payload, applies, nil
}

// find gives the message of a ref. The caller holds s.mu.
func (s *Store) find(ref Ref) (*entry, error) {
	e := s.entries[ref.ID]
	if e == nil || ref.Parcel < 0 || ref.Parcel >= len(e.parcels) {
		return nil, fmt.Errorf("%w: %s parcel %d", ErrNotFound, ref.ID, ref.Parcel)
	}
	return e, nil
}
