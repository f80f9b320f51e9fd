package store

import (
	"context"
	"slices"
	"strings"
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
	err := s.read(ctx, true, func(ctx context.Context, t tx) error {
		changes = changes[:0]
		p := page{after: since, more: true}
		for p.more && len(changes) < limit {
			if err := p.read(ctx, t, limit-len(changes)); err != nil {
				return err
			}
			list, err := p.changes(ctx, t)
			if err != nil {
				return err
			}
			changes = append(changes, list...)
		}
		return nil
	})
	return changes, err
}

// A page is a stretch of the feed. An address stands in it once for each of its
// certificates, and is told at the last of these places.
type page struct {
	after  uint64
	more   bool // there may be something behind it
	places []place
}

type place struct {
	seq     uint64
	address string
}

const pageQuery = "SELECT seq, addresses FROM certificate WHERE seq > $1 ORDER BY seq LIMIT $2"

// read takes the next places, at most limit.
func (p *page) read(ctx context.Context, t tx, limit int) error {
	p.places = p.places[:0]
	rows := 0
	err := t.query(ctx, func(row scan) error {
		var seq int64
		var lines string
		if err := row(&seq, &lines); err != nil {
			return err
		}
		rows++
		addresses := strings.Split(lines, "\n")
		for i, a := range addresses {
			if n := numberOf(uint64(seq), addresses, i); n > p.after {
				p.places = append(p.places, place{n, a})
			}
		}
		return nil
	}, pageQuery, int64(p.after), int64(limit))
	p.more = rows == limit || len(p.places) > limit
	p.places = p.places[:min(len(p.places), limit)]
	if n := len(p.places); n > 0 {
		p.after = p.places[n-1].seq
	}
	return err
}

// numberOf gives the number that the address at place i has by a certificate
// whose last number is seq.
func numberOf(seq uint64, addresses []string, i int) uint64 {
	return seq - uint64(len(addresses)-1-i)
}

// Only the active ones' DER is read.
var feedQuery = "SELECT m.address, " + columnList("c.", "CASE WHEN c.status = 0 THEN c.der END") +
	" FROM mailbox m JOIN certificate c ON c.id = m.certificate WHERE m.address = ANY($1)"

// changes gives what the places have to tell.
func (p *page) changes(ctx context.Context, t tx) ([]Change, error) {
	keys := make([]string, 0, len(p.places))
	now := make(map[string]*Change, len(p.places))
	for _, at := range p.places {
		if now[at.address] == nil {
			now[at.address] = &Change{Address: at.address}
			keys = append(keys, at.address)
		}
	}
	err := t.perKey(ctx, func(row scan) error {
		var r record
		var key string
		if err := r.scan(row, &key); err != nil {
			return err
		}
		c := now[key]
		c.Seq = max(c.Seq, numberOf(r.Seq, r.Addresses, slices.Index(r.Addresses, key)))
		if r.Status == StatusActive {
			c.Certificates = append(c.Certificates, r.Certificate)
		}
		return nil
	}, feedQuery, keys)
	var list []Change
	for _, at := range p.places {
		if c := now[at.address]; c.Seq == at.seq {
			slices.SortFunc(c.Certificates, bestFirst)
			list = append(list, *c)
		}
	}
	return list, err
}

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
