package spool

import (
	"crypto/sha256"
	"os"
)

// segmentScan is a segment with the messages found in it.
type segmentScan struct {
	seg     *segment
	scanner *scanner
	entries []*entry
	short   bool // the file ends before the end that the journal knows
}

// scanSegment reads the indexes of all messages of a segment. It only reads,
// and runs beside others.
func (s *Store) scanSegment(n uint64, ends map[uint64]ending) (*segmentScan, error) {
	f, err := s.fs.Open(segmentName(n), os.O_RDWR)
	if err != nil {
		return nil, err
	}
	size, err := f.Size()
	if err != nil {
		f.Close()
		return nil, err
	}
	r := &segmentScan{seg: newSegment(n, f, size)}
	r.seg.sealed = true
	end, known := ends[n]
	if !known {
		end.end = size
	}
	r.short = end.end > size
	if r.scanner, err = newScanner(f, n, s.keys.segment, end.end); err != nil {
		f.Close()
		return nil, err
	}
	r.scanner.run(func(fr frame, payload []byte) {
		r.seg.end = fr.offset + fr.length
		rec, ok := parseRecord(payload)
		if !ok || rec.length(fr.head()) != fr.length {
			// It authenticates, so this program or a newer one wrote it.
			r.scanner.gaps = append(r.scanner.gaps, gap{from: fr.offset, to: fr.offset + fr.length, started: true})
			r.scanner.synced = max(r.scanner.synced, fr.offset+fr.length)
			return
		}
		r.entries = append(r.entries, newEntry(rec, r.seg, fr.offset, fr.length, fr.head()))
	})
	r.scanner.synced = max(r.scanner.synced, end.synced)
	r.seg.end = max(r.seg.end, end.synced)
	if r.scanner.unreadable {
		r.seg.end = r.scanner.size // the next start may read more
	}
	r.seg.synced = r.scanner.synced
	return r, nil
}

// whole reads a message that no later frame vouches for: the power may have
// failed while it was written.
func (s *Store) whole(e *entry) bool {
	b := make([]byte, e.length)
	if readFull(e.seg.file, b, e.off) != nil {
		return false
	}
	r, err := s.openHead(place{seg: e.seg, off: e.off, head: e.head}, b[:e.head])
	if err != nil {
		return false
	}
	at := e.head
	for part, n := range r.metas {
		sealed := b[at : at+n+sealOverhead]
		if _, err := s.keys.meta.open(sealed, metaContext(r.uid, part)); err != nil {
			return false
		}
		at += int64(len(sealed))
	}
	return r.external() || sha256.Sum256(b[at:at+r.stored]) == r.sum
}
