package store

import (
	"context"
	"encoding/binary"
)

// A Bulk is an import of many certificates. Into a directory in a file that is
// empty it goes another way than Add: without indexes, which are made at the end
// when everything can be sorted, and in one transaction. Anywhere else it is Add.
// It is for one goroutine.
type Bulk struct {
	store *Store
	load  *sqliteLoad // nil: Add
	seen  map[uint64]struct{}
	later []New // came before in this import: for Add, at the end
}

// Bulk begins an import. Commit or Close must end it: until then others may have
// to wait with what they write.
func (s *Store) Bulk(ctx context.Context) (*Bulk, error) {
	b := &Bulk{store: s}
	if s.done.Err() != nil {
		return nil, ErrClosed
	}
	e, ok := s.engine.(*sqliteEngine)
	if !ok {
		return b, nil
	}
	var err error
	b.load, err = e.beginLoad(ctx)
	b.seen = map[uint64]struct{}{}
	return b, err
}

// Add is Store.Add, but that what it did may be durable only after Commit. A
// batch should have some thousand certificates.
func (b *Bulk) Add(ctx context.Context, list []New) ([]Added, error) {
	if b.load == nil {
		return b.store.Add(ctx, list)
	}
	entries, err := b.store.entries(list)
	if err != nil {
		return nil, err
	}
	for i := range list {
		if list[i].Supersede { // needs to see what came before
			if err := b.Commit(ctx); err != nil {
				return nil, err
			}
			return b.store.Add(ctx, list)
		}
	}
	added := make([]Added, len(entries))
	rows := make([]*record, 0, len(entries))
	for i := range entries {
		e := &entries[i]
		// Eight bytes of a hash: if two certificates ever share them, Add sorts it out.
		prefix := binary.BigEndian.Uint64(e.fingerprint[:])
		_, known := b.seen[prefix]
		added[i] = Added{Fingerprint: e.fingerprint, Status: e.Status, Known: known}
		if known {
			b.later = append(b.later, list[i])
			continue
		}
		b.seen[prefix] = struct{}{}
		rows = append(rows, &e.record)
	}
	return added, b.load.add(ctx, rows)
}

// Commit makes everything durable and visible.
func (b *Bulk) Commit(ctx context.Context) error {
	if b.load == nil {
		b.store.gather(ctx)
		return nil
	}
	load := b.load
	b.load, b.seen = nil, nil
	if err := load.commit(ctx); err != nil {
		return err
	}
	b.store.news.advance(uint64(load.seq))
	const batch = 1000
	for later := b.later; len(later) > 0; {
		n := min(len(later), batch)
		if _, err := b.store.Add(ctx, later[:n]); err != nil {
			return err
		}
		later = later[n:]
	}
	b.later = nil
	return nil
}

// gather has PostgreSQL count what it has now. By itself it does so after a
// minute or later, and until then takes a table that has become large for an
// empty one: each lookup reads all of it.
func (s *Store) gather(ctx context.Context) {
	if _, ok := s.engine.(*postgresEngine); !ok {
		return
	}
	err := s.write(ctx, func(ctx context.Context, t tx) error { return t.exec(ctx, "ANALYZE mailbox, certificate") })
	if err != nil {
		s.opts.Log.Warn("the database does not know yet how large the directory is; lookups may be slow until it finds out by itself", "error", err)
	}
}

// Pending reports whether what was added is not in the directory before Commit:
// the directory was empty, and still is.
func (b *Bulk) Pending() bool { return b.load != nil }

// Close ends an import; without Commit before it, what was added into an empty
// directory is gone.
func (b *Bulk) Close() error {
	if b.load == nil {
		return nil
	}
	load := b.load
	b.load = nil
	return load.end(nil)
}
