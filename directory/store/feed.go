package store

import (
	"context"
	"slices"
	"sync"
)

// A Change says what an address has since Seq: the whole list, so that applying
// a change twice, or only the last of several, gives the same.
type Change struct {
	Seq          uint64
	Address      string        // in the form of address.Address.Key
	Certificates []Certificate // the active ones, best first; empty: none any more
}

// Changes gives what changed after since, oldest first, for up to limit addresses
// (at most 10000). Each address stands at its last change only. From 0 it is the
// whole directory. Fewer than limit means that there is nothing more right now;
// otherwise go on after the last one's Seq.
//
// Active is meant as the database has it: who uses a certificate checks its
// validity against the clock. That a certificate was seen again is told once a
// day at most.
func (s *Store) Changes(ctx context.Context, since uint64, limit int) ([]Change, error) {
	limit = min(max(limit, 1), 10000)
	var changes []Change
	err := s.read(ctx, false, func(t tx) error {
		changes = nil
		return t.query(ctx, func(row scan) error {
			var r record
			var seq int64
			var key string
			if err := r.scan(row, &seq, &key); err != nil {
				return err
			}
			if n := len(changes); n == 0 || changes[n-1].Seq != uint64(seq) {
				changes = append(changes, Change{Seq: uint64(seq), Address: key})
			}
			if r.Status == StatusActive {
				c := &changes[len(changes)-1]
				c.Certificates = append(c.Certificates, r.Certificate)
			}
			return nil
		}, changesQuery, int64(since), int64(limit))
	})
	for _, c := range changes {
		slices.SortFunc(c.Certificates, bestFirst)
	}
	return changes, err
}

// The join has a row for each certificate, whatever its status, so that an
// address which has none left appears too; only the active ones' DER is read.
var changesQuery = `
WITH page AS (SELECT DISTINCT seq FROM mailbox WHERE seq > $1 ORDER BY seq LIMIT $2)
SELECT m.seq, m.address, ` + columnList("c.", "CASE WHEN c.status = 0 THEN c.der END") + `
FROM mailbox m JOIN certificate c ON c.id = m.certificate
WHERE m.seq > $1 AND m.seq <= (SELECT max(seq) FROM page)
ORDER BY m.seq`

// Wait returns when there is a change after since, at once if there is one
// already; or with ctx's error, or ErrClosed. Changes by other processes are
// noticed: at once with PostgreSQL, within watchEvery with SQLite.
func (s *Store) Wait(ctx context.Context, since uint64) error {
	s.watch.Do(func() {
		s.tasks.Go(func() { s.engine.watch(s.done, s.poke) })
	})
	for {
		last, changed := s.news.next()
		if last > since {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		case <-s.done.Done():
			return ErrClosed
		}
	}
}

// poke is told by the watcher that there is news. Trouble is logged when it
// begins and when it ends.
func (s *Store) poke(seq uint64) {
	if seq > 0 {
		s.news.advance(seq)
		return
	}
	err := s.refresh(s.done)
	switch {
	case s.done.Err() != nil:
	case err != nil && !s.deaf.Swap(true):
		s.opts.Log.Warn("directory: cannot follow changes by other nodes until the database answers", "error", err)
	case err == nil && s.deaf.Swap(false):
		s.opts.Log.Info("directory: following changes again")
	}
}

// news is what this process knows of the sequence, and who waits for more.
type news struct {
	mu      sync.Mutex
	seq     uint64
	changed chan struct{} // closed and replaced at each advance
}

func (n *news) last() uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.seq
}

func (n *news) next() (uint64, <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.seq, n.changed
}

func (n *news) advance(seq uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if seq > n.seq {
		n.seq = seq
		close(n.changed)
		n.changed = make(chan struct{})
	}
}

// restart is for another epoch: its numbers may be smaller. Everybody is woken.
func (n *news) restart(seq uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.seq = seq
	close(n.changed)
	n.changed = make(chan struct{})
}
