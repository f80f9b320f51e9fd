package queue

import (
	"context"
	"errors"
	"iter"
	"sync"
	"time"

	"sealpost/relay/spool"
)

// Changed is how much an operator's order concerned.
type Changed struct {
	Messages int `json:"messages"`
	Parcels  int `json:"parcels"`
}

// List gives what the filter chooses, the oldest message first. A row holds
// the recipients that were chosen.
func (e *Engine) List(ctx context.Context, f Filter) iter.Seq2[Row, error] {
	return e.view().list(ctx, f)
}

// Show gives all that is known of one message; spool.ErrNotFound when it is
// not there.
func (e *Engine) Show(_ context.Context, id string) (Detail, error) { return e.view().show(id) }

// Retry makes parcels due: those that wait for upstream are tried at once, or
// with the next probe, which is made at once too; those without a key are
// asked about at once. What is on hold stays there.
func (e *Engine) Retry(ctx context.Context, f Filter) (Changed, error) {
	changed, _, err := e.order(ctx, f, func(p *parcel) bool {
		if p.lane != resting && p.lane != ready && p.lane != asking {
			return false
		}
		if p.due = min(p.due, e.elapsed()); p.lane == resting {
			e.enqueue(p)
		}
		return true
	})
	if changed.Parcels > 0 {
		e.mu.Lock()
		e.health.probeAt = min(e.health.probeAt, e.elapsed())
		e.mu.Unlock()
		e.kick()
	}
	return changed, err
}

// Hold keeps parcels: they are neither tried nor do they expire. A delivery
// that is under way is not cut off.
func (e *Engine) Hold(ctx context.Context, f Filter) (Changed, error) {
	changed, parcels, err := e.order(ctx, f, func(p *parcel) bool {
		if p.status.has(frozen) || p.lane > active {
			return false
		}
		p.status |= frozen
		if p.lane != active {
			e.move(p, kept)
			e.plan(p.msg)
		}
		return true
	})
	return changed, errors.Join(err, e.saveAll(parcels))
}

// Release ends Hold; the parcels are due at once.
func (e *Engine) Release(ctx context.Context, f Filter) (Changed, error) {
	changed, parcels, err := e.order(ctx, f, func(p *parcel) bool {
		if !p.status.has(frozen) || p.lane > kept {
			return false
		}
		p.status &^= frozen
		p.due = e.elapsed()
		if p.lane == kept {
			e.age(p.msg)
			e.settle(p)
		}
		return true
	})
	return changed, errors.Join(err, e.saveAll(parcels))
}

// Delete removes parcels without telling anybody. A delivery under way may
// still succeed.
func (e *Engine) Delete(ctx context.Context, f Filter) (Changed, error) {
	changed, parcels, err := e.order(ctx, f, func(p *parcel) bool { return p.lane != gone })
	refs := make([]spool.Ref, len(parcels))
	for i, p := range parcels {
		refs[i] = p.ref()
	}
	if e := doneAll(e.store, refs); e != nil {
		return Changed{}, errors.Join(err, e)
	}
	for _, p := range parcels {
		e.forget(p)
	}
	if changed.Parcels > 0 {
		e.log.Info("queue: deleted by an operator", "messages", changed.Messages, "parcels", changed.Parcels)
	}
	e.kick()
	return changed, err
}

// order applies a change in memory to each parcel that the filter chooses.
func (e *Engine) order(ctx context.Context, f Filter, change func(*parcel) bool) (n Changed, parcels []*parcel, err error) {
	for s, err := range e.view().choose(ctx, f, false) {
		if err != nil {
			return n, parcels, err
		}
		before := len(parcels)
		e.mu.Lock()
		if m := e.messages[s.info.ID]; m != nil {
			for _, i := range s.parcels {
				if p := &m.parcels[i]; change(p) {
					parcels = append(parcels, p)
				}
			}
		}
		e.mu.Unlock()
		if n.Parcels = len(parcels); n.Parcels > before {
			n.Messages++
		}
	}
	e.kick()
	return n, parcels, nil
}

// saveAll writes the states of many parcels at once, so that they share the
// spool's commits.
func (e *Engine) saveAll(parcels []*parcel) error {
	return eachAtOnce(parcels, func(p *parcel) error {
		if err := e.save(p); !errors.Is(err, spool.ErrNotFound) {
			return err
		}
		return nil
	})
}

// eachAtOnce does something for all, many at the same time.
func eachAtOnce[T any](all []T, do func(T) error) error {
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		first error
		slots = make(chan struct{}, 32)
	)
	for _, x := range all {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			if err := do(x); err != nil {
				mu.Lock()
				defer mu.Unlock()
				if first == nil {
					first = err
				}
			}
		})
	}
	wg.Wait()
	return first
}

// doneAll takes parcels out of the spool, some hundreds in one commit. What
// has left meanwhile is no error.
func doneAll(s *spool.Store, refs []spool.Ref) error {
	const many = 500
	for len(refs) > 0 {
		some := refs[:min(len(refs), many)]
		refs = refs[len(some):]
		err := s.Done(context.Background(), some...)
		if errors.Is(err, spool.ErrNotFound) {
			err = eachAtOnce(some, func(ref spool.Ref) error {
				if err := s.Done(context.Background(), ref); !errors.Is(err, spool.ErrNotFound) {
					return err
				}
				return nil
			})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (e *Engine) view() view { return view{store: e.store, now: e.wall, live: e.live} }

// live is the state of a parcel and its next attempt as the engine knows them.
func (e *Engine) live(ref spool.Ref, st spool.State) (State, time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	m := e.messages[ref.ID]
	if m == nil || ref.Parcel >= len(m.parcels) {
		return atRest(ref, st)
	}
	p := &m.parcels[ref.Parcel]
	at := p.due
	if probe, waiting := e.health.nextProbe(); waiting && p.lane == ready {
		at = max(at, probe)
	}
	switch p.lane {
	case resting, ready, asking:
		return p.state(), e.wall().Add(at - e.elapsed())
	}
	return p.state(), time.Time{}
}

// atRest is the state of a parcel as it stands in the spool.
func atRest(_ spool.Ref, st spool.State) (State, time.Time) {
	s := status(st.Status)
	if s.has(frozen) || s.has(reporting) {
		return s.state(), time.Time{}
	}
	return s.state(), st.Next
}
