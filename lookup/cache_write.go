package lookup

import (
	"encoding/binary"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"
)

const (
	writeBatch  = 1000  // changes in one transaction
	sweepBatch  = 500   // records that one round looks at for their age
	evictBatch  = 16000 // records that one round looks at when there are too many
	pruneRounds = 10    // in one write, so that a stop never waits for long
)

// CacheFileStats is what a cache file holds and has done since the start.
type CacheFileStats struct {
	Entries int64  // addresses
	Pending int    // changes that are not written yet
	Hits    uint64 // answers that were found in it
	Dropped uint64 // changes that were given up because the disk did not keep up
}

// Stats is a snapshot of the counters.
func (f *CacheFile) Stats() CacheFileStats {
	f.mu.Lock()
	defer f.mu.Unlock()
	return CacheFileStats{
		Entries: f.entries.Load(), Pending: len(f.pending) + len(f.writing), Hits: f.hits.Load(), Dropped: f.dropped.Load(),
	}
}

// run writes at intervals, and when much has come together.
func (f *CacheFile) run() {
	defer close(f.done)
	tick := time.NewTicker(f.opts.Interval)
	defer tick.Stop()
	for {
		select {
		case <-f.stop:
			return
		case <-tick.C:
		case <-f.kick:
		}
		_ = f.Sync() // told to the log, and tried again
	}
}

// Sync writes what is not written yet. When it returns nil, everything before
// it is durable.
func (f *CacheFile) Sync() error {
	f.write.Lock()
	defer f.write.Unlock()
	f.mu.Lock()
	f.writing, f.pending = f.pending, map[string]*change{}
	batch := f.writing
	f.mu.Unlock()
	keys := make([]string, 0, len(batch))
	for key := range batch {
		keys = append(keys, key)
	}
	slices.Sort(keys) // neighbours share pages
	var err error
	for part := range slices.Chunk(keys, writeBatch) {
		if err = f.use(func(db *bolt.DB) error { return f.writePart(db, part, batch) }); err != nil {
			break
		}
	}
	if err == nil {
		err = f.use(f.prune)
	}
	f.written(err)
	return err
}

// written takes back what could not be written, and tells of a failure once.
func (f *CacheFile) written(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil && !f.broken {
		for key, c := range f.writing {
			if _, newer := f.pending[key]; !newer {
				f.pending[key] = c
			}
		}
	}
	f.writing = nil
	switch {
	case f.broken:
	case err != nil && !f.failed:
		f.opts.Log.Error("the lookup cache file cannot be written; it is tried again", "file", f.opts.Path, "error", err)
	case err == nil && f.failed:
		f.opts.Log.Info("the lookup cache file can be written again", "file", f.opts.Path)
	}
	f.failed = err != nil
}

func (f *CacheFile) writePart(db *bolt.DB, keys []string, batch map[string]*change) error {
	// Encoding is the larger part of the work, and needs no transaction.
	records := make([][]byte, len(keys))
	for i, key := range keys {
		if c := batch[key]; c.answer != nil {
			if rec, err := encodeRecord(key, c.settings, *c.answer); err == nil {
				records[i] = rec
			}
		}
	}
	var count int64
	err := db.Update(func(tx *bolt.Tx) error {
		about, addresses := tx.Bucket(bucketAbout), tx.Bucket(bucketAddresses)
		count = readCount(about)
		for i, key := range keys {
			known := addresses.Get([]byte(key)) != nil
			var err error
			switch {
			case records[i] != nil:
				err = addresses.Put([]byte(key), records[i])
				if !known {
					count++
				}
			case known:
				err = addresses.Delete([]byte(key))
				count--
			}
			if err != nil {
				return err
			}
		}
		return writeCount(about, count)
	})
	if err == nil {
		f.entries.Store(count)
	}
	return err
}

func readCount(about *bolt.Bucket) int64 {
	if b := about.Get(keyCount); len(b) == 8 {
		return int64(binary.BigEndian.Uint64(b))
	}
	return 0
}

func writeCount(about *bolt.Bucket, n int64) error {
	return about.Put(keyCount, binary.BigEndian.AppendUint64(nil, uint64(n)))
}

// prune goes round the file a little at a time, and removes what is too old to
// be of use; when there is too much, also the oldest of what it comes by.
// Addresses that are written to are renewed again and again, and stay.
func (f *CacheFile) prune(db *bolt.DB) error {
	for range pruneRounds {
		over := int(f.entries.Load()) - f.opts.Entries
		victims, err := f.victims(db, over)
		if err != nil || len(victims) == 0 {
			return err
		}
		changes := make(map[string]*change, len(victims))
		for _, key := range victims {
			changes[key] = &change{}
		}
		for part := range slices.Chunk(victims, writeBatch) {
			if err := f.writePart(db, part, changes); err != nil {
				return err
			}
		}
		if int(f.entries.Load()) <= f.opts.Entries {
			break
		}
	}
	return nil
}

// victims chooses the records to remove, from where the last round ended.
func (f *CacheFile) victims(db *bolt.DB, over int) (victims []string, err error) {
	type aged struct {
		key string
		at  time.Time
	}
	look := sweepBatch
	if over > 0 {
		look = min(max(8*over, sweepBatch), evictBatch)
	}
	oldest := f.opts.Clock().Add(-time.Duration(f.keep.Load()))
	var rest []aged
	err = db.View(func(tx *bolt.Tx) error {
		cursor := tx.Bucket(bucketAddresses).Cursor()
		key, rec := cursor.Seek(f.hand)
		for range look {
			if key == nil {
				break
			}
			at := recordTime(rec)
			if f.keep.Load() > 0 && at.Before(oldest) {
				victims = append(victims, string(key))
			} else if over > 0 {
				rest = append(rest, aged{string(key), at})
			}
			key, rec = cursor.Next()
		}
		f.hand = append(f.hand[:0], key...) // at the end: empty, the beginning
		return nil
	})
	if err != nil || over <= len(victims) {
		return victims, err
	}
	slices.SortFunc(rest, func(a, b aged) int { return a.at.Compare(b.at) })
	// No more than an eighth at a time: what is the oldest here may be young elsewhere.
	n := min(over-len(victims), max(len(rest)/8, 1), len(rest))
	for _, r := range rest[:n] {
		victims = append(victims, r.key)
	}
	return victims, nil
}
