package mirror

import (
	"errors"
	"fmt"

	"sealpost/lookup/keydb"
)

// When files are written anew. The table keeps the memory of the delta and the
// time of an open small; compaction keeps FILE within a sixteenth of what is
// in it, at the cost of writing that sixteen times as often.
const (
	minDelta       = 1 << 16
	maxDelta       = 1 << 18
	batchesBetween = 4096
	minGarbage     = 4 << 20
	garbageShare   = 16
	bytesPerBatch  = 4 << 20 // that compaction writes at a time
	entriesAtATime = 4096
)

func (r *replica) deltaBound() int {
	known := 0
	if r.table != nil {
		known = int(r.table.head.entries / 8)
	}
	return min(max(known, minDelta), maxDelta)
}

// An addition is what append adds to a replica.
type addition struct {
	changes  []keydb.Change
	standing standing
}

// append writes a batch, durable when it returns. After an error nothing of it
// is known to the replica, now or after the next open.
func (r *replica) append(a addition) error {
	b := batch{offset: r.end, standing: a.standing}
	for i := range a.changes {
		c := &a.changes[i]
		start := len(b.records)
		if len(c.Certificates) > 0 {
			var err error
			if b.records, err = appendRecord(b.records, c); err != nil {
				return err
			}
		}
		b.table = append(b.table, tableLine{r.id.hash(c.Address), len(b.records) - start})
	}
	return r.write(&b)
}

var errFull = errors.New("mirror: a page or the file is larger than a mirror can be")

// errSync is that it is not known what is on the disk. The kernel may have
// forgotten what it could not write, so that a second fsync would say nothing.
var errSync = errors.New("mirror: what was written could not be made durable")

func (r *replica) write(b *batch) error {
	head := b.encodeHead()
	end := b.offset + int64(len(head)) + int64(len(b.records))
	if len(b.table) > maxEntries || len(b.records) > maxRecords || len(b.standing.cursor) > maxCursor || end > maxOffset {
		return errFull
	}
	before, err := r.places(b)
	if err != nil {
		r.hurt.Store(true)
		return err
	}
	if _, err := r.file.WriteAt(append(head, b.records...), b.offset); err != nil {
		_ = r.file.Truncate(b.offset) // gives a full disk its space back; the next open would do it too
		return fmt.Errorf("mirror: %w", err)
	}
	if err := r.file.Sync(); err != nil {
		r.hurt.Store(true)
		return fmt.Errorf("%w: %w", errSync, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.end = end
	r.learn(b, end-int64(len(b.records)), before)
	r.publish()
	return nil
}

// head describes the replica as it is.
func (r *replica) head() indexHead {
	return indexHead{id: r.id, end: r.end, entries: r.entries, live: r.live, batches: r.batches, standing: r.standing}
}

// tableIsDue reports whether the delta has grown enough for a new table.
func (r *replica) tableIsDue() bool {
	written := int64(0)
	if r.table != nil {
		written = r.table.head.batches
	}
	return len(r.delta) >= r.deltaBound() || r.batches-written >= batchesBetween
}

// writeTable writes the table anew, and empties the delta.
func (r *replica) writeTable() error {
	path := r.path + indexSuffix
	err := writeTable(path, r.head(), func(yield func(line) error) error { return r.table.merged(r.delta, yield) })
	if err != nil {
		if errors.Is(err, ErrDamaged) {
			r.hurt.Store(true)
		}
		return fmt.Errorf("mirror: index: %w", err)
	}
	next, err := openTable(path, r.id)
	if err != nil || next == nil {
		return fmt.Errorf("mirror: index: it cannot be read back: %w", errors.Join(err, ErrDamaged))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.table.close()
	r.table, r.delta = next, map[hash]place{}
	return nil
}

// compactionIsDue reports whether too much of the file has been overtaken.
func (r *replica) compactionIsDue() bool {
	garbage := r.end - headerSize - r.live
	return garbage > minGarbage && garbage > r.live/garbageShare
}

// copyTo appends everything that is still known to an empty replica, and
// proves each record on the way.
func (r *replica) copyTo(to *replica) error {
	heads := headReader{file: r.file, size: r.end}
	c := copier{to: to, batch: batch{offset: to.end}}
	for at := int64(headerSize); at < r.end; {
		b, offset, end, err := heads.head(at)
		if errors.Is(err, errNoBatch) {
			err = damaged("a batch", at)
		}
		if err != nil {
			return err
		}
		for _, l := range b.table {
			if l.length == 0 {
				continue
			}
			p := newPlace(offset, l.length)
			offset += int64(l.length)
			if known, err := r.placeOf(l.hash); err != nil || known != p {
				if err != nil {
					return err
				}
				continue
			}
			if err := c.take(r, p); err != nil {
				return err
			}
		}
		at = end
	}
	c.batch.standing = r.standing
	if err := c.flush(); err != nil {
		return err
	}
	if to.entries != r.entries {
		return damaged("the count of addresses", r.end)
	}
	return to.writeTable()
}

// A copier gathers records into batches.
type copier struct {
	to    *replica
	batch batch
}

func (c *copier) take(from *replica, p place) error {
	start := len(c.batch.records)
	c.batch.records = append(c.batch.records, make([]byte, p.length())...)
	record := c.batch.records[start:]
	if _, err := from.file.ReadAt(record, p.offset()); err != nil {
		return err
	}
	address, err := addressOf(record)
	if err != nil {
		return damaged("a record", p.offset())
	}
	c.batch.table = append(c.batch.table, tableLine{c.to.id.hash(address), len(record)})
	if len(c.batch.records) >= bytesPerBatch || len(c.batch.table) >= entriesAtATime {
		return c.flush()
	}
	return nil
}

func (c *copier) flush() error {
	if err := c.to.write(&c.batch); err != nil {
		return err
	}
	c.batch = batch{offset: c.to.end, table: c.batch.table[:0], records: c.batch.records[:0]}
	return nil
}
