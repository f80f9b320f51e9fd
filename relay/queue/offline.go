package queue

import (
	"context"
	"errors"
	"iter"
	"time"

	"sealpost/relay/spool"
)

// Offline is an operator's access to a spool that no engine works on. Its
// methods are those of Engine.
type Offline struct{ v view }

// NewOffline opens a spool for an operator. now is the wall clock; nil means
// time.Now.
func NewOffline(s *spool.Store, now func() time.Time) *Offline {
	if now == nil {
		now = time.Now
	}
	return &Offline{view{store: s, now: now, live: atRest}}
}

// List is as Engine.List.
func (o *Offline) List(ctx context.Context, f Filter) iter.Seq2[Row, error] { return o.v.list(ctx, f) }

// Show is as Engine.Show.
func (o *Offline) Show(_ context.Context, id string) (Detail, error) { return o.v.show(id) }

// Retry makes parcels due for when an engine starts.
func (o *Offline) Retry(ctx context.Context, f Filter) (Changed, error) {
	return o.order(ctx, f, func(st *spool.State) bool {
		st.Next = o.v.now()
		return !status(st.Status).has(frozen)
	})
}

// Hold is as Engine.Hold.
func (o *Offline) Hold(ctx context.Context, f Filter) (Changed, error) {
	return o.order(ctx, f, func(st *spool.State) bool {
		before := status(st.Status)
		st.Status |= byte(frozen)
		return !before.has(frozen) && !before.has(reporting)
	})
}

// Release is as Engine.Release.
func (o *Offline) Release(ctx context.Context, f Filter) (Changed, error) {
	return o.order(ctx, f, func(st *spool.State) bool {
		before := status(st.Status)
		st.Status, st.Next = byte(before&^frozen), o.v.now()
		return before.has(frozen)
	})
}

// Delete is as Engine.Delete.
func (o *Offline) Delete(ctx context.Context, f Filter) (Changed, error) {
	var n Changed
	var refs []spool.Ref
	for s, err := range o.v.choose(ctx, f, false) {
		if err != nil {
			return Changed{}, err
		}
		n.Messages++
		for _, i := range s.parcels {
			refs = append(refs, spool.Ref{ID: s.info.ID, Parcel: i})
		}
	}
	n.Parcels = len(refs)
	return n, doneAll(o.v.store, refs)
}

// order changes the state of each parcel that the filter chooses.
func (o *Offline) order(ctx context.Context, f Filter, change func(*spool.State) bool) (Changed, error) {
	type stated struct {
		ref spool.Ref
		st  spool.State
	}
	var n Changed
	var all []stated
	for s, err := range o.v.choose(ctx, f, false) {
		if err != nil {
			return n, err
		}
		before := len(all)
		for _, i := range s.parcels {
			st := s.info.States[i]
			if change(&st) {
				all = append(all, stated{spool.Ref{ID: s.info.ID, Parcel: i}, st})
			}
		}
		if n.Parcels = len(all); n.Parcels > before {
			n.Messages++
		}
	}
	return n, eachAtOnce(all, func(s stated) error {
		if err := o.v.store.Update(ctx, s.ref, s.st); !errors.Is(err, spool.ErrNotFound) {
			return err
		}
		return nil
	})
}
