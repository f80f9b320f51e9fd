package mirror

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sealpost/lookup/keydb"
)

// Errors of Apply about the page.
var (
	ErrOrder   = errors.New("the page of the feed does not follow what was applied")
	errRewound = errors.New("the directory's last change is older than what was applied: it was set back")
)

// contactEvery bounds how much is forgotten, by a restart, of when the
// directory was last heard of.
const contactEvery = time.Minute

// Apply adds a page that was asked for with Cursor. When it returns without an
// error, the page is durable and Get answers with it; otherwise nothing has
// changed. Follow calls it; others need not.
func (m *Mirror) Apply(page keydb.Page) error {
	m.writing.Lock()
	defer m.writing.Unlock()
	return m.apply(m.current.Load(), page)
}

// apply adds a page to one of the replicas. It is called with writing held.
func (m *Mirror) apply(r *replica, page keydb.Page) error {
	switch {
	case m.opts.ReadOnly:
		return ErrReadOnly
	case r.hurt.Load():
		return ErrDamaged
	}
	next, err := m.standingAfter(r, &page)
	if err != nil {
		return err
	}
	if len(page.Changes) == 0 && next.cursor == r.cursor && next.complete == r.complete &&
		next.contact-r.standing.contact < int64(contactEvery/time.Second) {
		r.contact.Store(next.contact)
		return nil
	}
	if err := r.append(addition{page.Changes, next}); err != nil {
		return err
	}
	r.contact.Store(next.contact)
	if r == m.current.Load() {
		m.changed(page.Changes)
	}
	m.moved.notify()
	return m.maintain(r)
}

// standingAfter is how far the page takes the replica. It refuses pages that
// do not follow, or that would be asked for again without end.
func (m *Mirror) standingAfter(r *replica, page *keydb.Page) (standing, error) {
	if page.Sequence < r.seq {
		return standing{}, errRewound
	}
	next := standing{
		cursor: page.Next, complete: r.complete || page.Complete, seq: r.seq, directory: page.Sequence, contact: m.opts.Clock().Unix(),
	}
	for i := range page.Changes {
		c := &page.Changes[i]
		if c.Seq <= next.seq || c.Seq > page.Sequence {
			return standing{}, fmt.Errorf("%w: change %d after %d", ErrOrder, c.Seq, next.seq)
		}
		next.seq = c.Seq
	}
	switch {
	case page.Next == "":
		return standing{}, fmt.Errorf("%w: it has no cursor", ErrOrder)
	case len(page.Changes) == 0 && !page.Complete:
		return standing{}, fmt.Errorf("%w: it is empty, and not the end", ErrOrder)
	case len(page.Changes) > 0 && page.Next == r.cursor:
		return standing{}, fmt.Errorf("%w: its cursor is the one before it", ErrOrder)
	}
	if page.Complete {
		next.directory = next.seq // numbers between may belong to what no mirror sees
	}
	return next, nil
}

func (m *Mirror) changed(changes []keydb.Change) {
	if m.opts.Changed == nil || len(changes) == 0 {
		return
	}
	addresses := make([]string, len(changes))
	for i := range changes {
		addresses[i] = changes[i].Address
	}
	m.opts.Changed(addresses)
}

// maintain writes the table, or the whole file, anew when that is due. That it
// cannot is logged, and no reason to refuse what was applied.
func (m *Mirror) maintain(r *replica) error {
	if r.tableIsDue() {
		if err := r.writeTable(); err != nil {
			m.opts.Log.Warn("the mirror's index could not be written", "file", r.path, "error", err)
		}
	}
	if r == m.current.Load() && r.compactionIsDue() && r.end >= m.noCompaction {
		if err := m.compact(r); err != nil {
			m.noCompaction = r.end + r.live/garbageShare // not again at once
			m.opts.Log.Warn("the mirror's file could not be compacted", "file", r.path, "error", err)
		}
	}
	return nil
}

// compact writes what is known into a new file, which takes the place of the
// old one. Readers go on meanwhile.
func (m *Mirror) compact(r *replica) error {
	path := m.opts.File + ".compact"
	if err := removeFiles(path); err != nil {
		return err
	}
	to, err := create(path, m.opts.Clock(), m.opts.opener)
	if err != nil {
		return err
	}
	err = r.copyTo(to)
	if errors.Is(err, ErrDamaged) {
		r.hurt.Store(true)
	}
	if err == nil {
		to.contact.Store(r.contact.Load())
		err = to.moveTo(m.opts.File)
	}
	if err != nil {
		to.close()
		return errors.Join(err, removeFiles(path))
	}
	m.current.Store(to)
	m.noCompaction = 0
	r.close()
	return nil
}

// swap puts the copy that was in the making, and is complete, into the place
// of the old one. It is called with writing held, or before anybody else is.
func (m *Mirror) swap() error {
	next, old := m.next, m.current.Load()
	if err := next.writeTable(); err != nil {
		return err
	}
	if err := next.moveTo(m.opts.File); err != nil {
		return err
	}
	m.next, m.noCompaction = nil, 0
	m.tellNext()
	m.take(next)
	old.close()
	if m.opts.Changed != nil {
		m.opts.Changed(nil)
	}
	m.moved.notify()
	return nil
}

// Wait returns when the change with this number has been applied, or ctx ends.
func (m *Mirror) Wait(ctx context.Context, sequence uint64) error {
	for {
		moved := m.moved.wait()
		r := m.current.Load()
		r.mu.RLock()
		seq := r.seq
		r.mu.RUnlock()
		if seq >= sequence {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
