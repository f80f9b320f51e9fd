package store

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A book is what one writing transaction knows and changes. It works on records
// in memory, so that what stands later in a batch meets what came before it, and
// writes them down at the end.
type book struct {
	tx            tx
	now           time.Time
	hold          bool // HoldKeyChange
	seq           int64
	last          int64 // certificate.id
	empty         bool  // nothing was stored before this transaction
	byFingerprint map[[32]byte]*record
	byAddress     map[string][]*record // complete for the addresses that were loaded
	records       []*record            // those that this transaction met, in order
	links         []link
	revoked       []*record // of OriginIssued, by this transaction
}

// A link is a new row of the table mailbox.
type link struct {
	address string
	record  *record
}

// update runs f on a book and writes it down. What the last number is now,
// everybody who waits is told after the commit.
func (s *Store) update(ctx context.Context, f func(context.Context, *book) error) error {
	var seq int64
	err := s.write(ctx, func(ctx context.Context, t tx) error {
		b := &book{tx: t, now: s.now(), hold: s.opts.HoldKeyChange,
			byFingerprint: map[[32]byte]*record{}, byAddress: map[string][]*record{}}
		if err := b.lock(ctx); err != nil {
			return err
		}
		before := b.seq
		if err := f(ctx, b); err != nil {
			return err
		}
		err := b.writeDown(ctx)
		if seq = b.seq; err == nil && seq != before {
			err = t.announce(ctx, uint64(seq))
		}
		return err
	})
	if err == nil {
		s.news.advance(uint64(seq))
	}
	return err
}

// lock takes the row that every writer takes first, and holds it to the end.
func (b *book) lock(ctx context.Context) (err error) {
	b.seq, b.last, err = b.tx.lock(ctx)
	b.empty = b.last == 0
	return err
}

// loadFingerprints brings what is stored of these into the book.
func (b *book) loadFingerprints(ctx context.Context, fingerprints [][]byte) error {
	if b.empty {
		return nil
	}
	return b.tx.perKey(ctx, func(row scan) error {
		r := new(record)
		if err := r.scan(row); err != nil {
			return err
		}
		b.keep(r)
		return nil
	}, byFingerprintQuery, fingerprints)
}

// loadAddresses brings all certificates of these addresses into the book.
func (b *book) loadAddresses(ctx context.Context, keys []string) error {
	for _, k := range keys {
		b.byAddress[k] = nil
	}
	for _, r := range b.records {
		b.list(r)
	}
	if b.empty {
		return nil
	}
	return b.tx.perKey(ctx, func(row scan) error {
		r := new(record)
		var key string
		if err := r.scan(row, &key); err != nil {
			return err
		}
		b.list(b.keep(r))
		return nil
	}, byAddressQuery, keys)
}

// keep gives the book's own record of a certificate, which is r unless it was
// there before.
func (b *book) keep(r *record) *record {
	if r.stored {
		r.fingerprint = r.Cert.Fingerprint()
	}
	if known := b.byFingerprint[r.fingerprint]; known != nil {
		return known
	}
	b.byFingerprint[r.fingerprint] = r
	b.records = append(b.records, r)
	return r
}

// list puts r under those of its addresses that were loaded.
func (b *book) list(r *record) {
	for _, a := range r.Addresses {
		if list, loaded := b.byAddress[a]; loaded && !slices.Contains(list, r) {
			b.byAddress[a] = append(list, r)
		}
	}
}

// add enters a new record.
func (b *book) add(r *record) {
	b.last++
	r.id = b.last
	b.keep(r)
	b.list(r)
	for _, a := range r.Addresses {
		b.links = append(b.links, link{a, r})
	}
	b.announce(r)
}

// announce makes r's addresses appear in the feed: whatever changes for an
// address changes in one of its certificates.
func (b *book) announce(r *record) { r.dirty, r.announced = true, true }

// set changes the status of a record.
func (b *book) set(r *record, status Status, why string) {
	if r.Status != status || r.Why != why {
		if status == StatusRevoked && r.Status != status && r.Origin == OriginIssued {
			b.revoked = append(b.revoked, r)
		}
		r.Status, r.Why = status, why
		b.announce(r)
	}
}

// rivals gives the other active certificates of r's addresses, which must have
// been loaded: those of another key, and those of the same.
func (b *book) rivals(r *record) (others, same []*record) {
	for _, a := range r.Addresses {
		for _, o := range b.byAddress[a] {
			switch {
			case o == r, o.Status != StatusActive, b.now.After(o.Cert.NotAfter):
			case bytes.Equal(o.Cert.RawPublicKey, r.Cert.RawPublicKey):
				same = append(same, o)
			default:
				others = append(others, o)
			}
		}
	}
	return others, same
}

// settle decides about r, which its owner uses, and about those whose place it
// takes:
//   - a certificate is superseded only by one that names all of its addresses:
//     none may lose its only key over another one's change;
//   - what was seen at work later wins, so that an old message that is sent again
//     changes nothing;
//   - a renewal (the same key, valid for longer) is no change of key;
//   - with hold, a changed key waits for an operator.
func (b *book) settle(r *record) {
	others, same := b.rivals(r)
	for _, o := range others {
		if o.LastSeen.After(r.LastSeen) && covers(o, r) {
			b.set(r, StatusSuperseded, replacedBy(o))
			return
		}
	}
	if b.hold && len(others) > 0 {
		b.set(r, StatusHeld, "another key than the active certificate "+short(others[0]))
		return
	}
	b.set(r, StatusActive, "")
	b.supersede(r, others)
	for _, o := range same {
		if !o.Cert.NotAfter.After(r.Cert.NotAfter) && covers(r, o) {
			b.set(o, StatusSuperseded, replacedBy(r))
		}
	}
}

func (b *book) supersede(r *record, others []*record) {
	for _, o := range others {
		if covers(r, o) {
			b.set(o, StatusSuperseded, replacedBy(r))
		}
	}
}

// covers reports that a names all addresses of o.
func covers(a, o *record) bool {
	for _, addr := range o.Addresses {
		if _, found := slices.BinarySearch(a.Addresses, addr); !found {
			return false
		}
	}
	return true
}

func short(r *record) string      { return hex.EncodeToString(r.fingerprint[:8]) }
func replacedBy(r *record) string { return fmt.Sprintf("replaced by %s", short(r)) }

// writeDown numbers what changed, and writes everything.
func (b *book) writeDown(ctx context.Context) error {
	fresh, changed := b.rows()
	// Neighbours share pages.
	slices.SortFunc(b.links, func(x, y link) int { return strings.Compare(x.address, y.address) })
	links := make([][]any, len(b.links))
	for i, l := range b.links {
		links[i] = []any{l.address, l.record.id}
	}
	if err := b.tx.insert(ctx, "certificate", columnNames, fresh); err != nil {
		return err
	}
	if err := b.tx.insert(ctx, "mailbox", linkColumns, links); err != nil {
		return err
	}
	if err := b.tx.execMany(ctx, updateRecord, changed); err != nil {
		return err
	}
	if err := b.writeIssued(ctx); err != nil {
		return err
	}
	if len(fresh)+len(changed) == 0 {
		return nil
	}
	return b.tx.exec(ctx, "UPDATE meta SET seq = $1, certificates = $2", b.seq, b.last)
}

// rows gives the records that are new, and those that changed.
func (b *book) rows() (fresh, changed [][]any) {
	for _, r := range b.records {
		if !r.dirty {
			continue
		}
		if r.announced {
			b.seq += int64(len(r.Addresses))
			r.Seq = uint64(b.seq)
		}
		if r.stored {
			changed = append(changed, r.changes())
		} else {
			fresh = append(fresh, r.row())
		}
	}
	return fresh, changed
}
