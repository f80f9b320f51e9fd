package spool

import (
	"errors"
	"fmt"
	"os"
)

// maxBatch is how many bytes of changes go into one frame: the smallest
// journal holds four of them. What a single call changes is always less.
func (s *Store) maxBatch() int { return int(s.opt.journal / 4) }

// A journal is the log of what changes. It belongs to its committer alone,
// but for size, which Store.mu guards.
//
// There are always two files of the same size: the one in use, and a spare
// for the next snapshot. As Put keeps the snapshot below half of that size
// (ensureJournal), a delivery can be recorded on a disk without any free space.
type journal struct {
	number uint64 // of the file in use; burnt numbers are skipped
	file   File
	spare  File // nil when it has to be made
	size   int64
	end    int64
	broken bool // a write or fsync failed: only a new snapshot helps
}

// changeRequest is a change on its way into the journal.
type changeRequest struct {
	payload []byte
	apply   func() // called under Store.mu when the change is durable
	grow    int64  // instead of a payload: the size the files must have
	done    chan error
}

// change records payload durably, then applies it to the index.
func (s *Store) change(payload []byte, apply func()) error {
	return s.enqueue(changeRequest{payload: payload, apply: apply})
}

func (s *Store) enqueue(q changeRequest) error {
	q.done = make(chan error, 1)
	if err := s.changes.add(q); err != nil {
		return err
	}
	return <-q.done
}

// ensureJournal makes the journal files large enough for a snapshot of that
// many bytes, twice over.
func (s *Store) ensureJournal(state int64) error {
	want := 2*state + 2*int64(s.maxBatch())
	s.mu.Lock()
	size := s.journal.size
	s.mu.Unlock()
	if want <= size {
		return nil
	}
	if err := s.enqueue(changeRequest{grow: max(want, 2*size)}); err != nil {
		return fmt.Errorf("spool: journal has no room: %w", asFull(err))
	}
	return nil
}

// commitChanges is the one goroutine that writes to the journal.
func (s *Store) commitChanges() {
	for batch := s.changes.take(); batch != nil; batch = s.changes.take() {
		for len(batch) > 0 {
			n := s.commitBatch(batch)
			batch = batch[n:]
		}
	}
}

// commitBatch makes the first requests durable in one frame and answers them.
func (s *Store) commitBatch(batch []changeRequest) int {
	if grow := batch[0].grow; grow > 0 {
		batch[0].done <- s.growJournal(grow)
		return 1
	}
	var payload []byte
	run := batch
	for i, q := range batch {
		if i > 0 && (q.grow > 0 || len(payload)+len(q.payload) > s.maxBatch()) {
			run = batch[:i]
			break
		}
		payload = append(payload, q.payload...)
	}
	err := s.appendJournal(payload)
	s.mu.Lock()
	if err == nil {
		s.commits++
		for _, q := range run {
			q.apply()
		}
	} else {
		s.failures++
	}
	s.mu.Unlock()
	for _, q := range run {
		q.done <- err
	}
	return len(run)
}

// appendJournal makes one frame of changes durable. A journal that is full or
// broken is replaced by a snapshot first.
func (s *Store) appendJournal(payload []byte) error {
	j := s.journal
	if j.broken || j.end+journalFrame(payload) > j.size {
		if err := s.rewriteJournal(j.size); err != nil {
			return fmt.Errorf("spool: journal: %w", asFull(err))
		}
	}
	if j.end+journalFrame(payload) > j.size {
		return fmt.Errorf("%w: journal", ErrFull)
	}
	n, err := s.writeFrame(j.file, j.number, j.end, j.end, payload)
	if err == nil {
		err = j.file.Sync()
	}
	if err != nil {
		j.broken = true
		s.log.Error("spool: journal is given up for writing", "journal", journalName(j.number), "error", err)
		return fmt.Errorf("spool: journal: %w", asFull(err))
	}
	j.end += n
	return nil
}

func journalFrame(payload []byte) int64 {
	return aligned(frameHeader + sealOverhead + int64(len(payload)))
}

// writeFrame writes one frame of a journal and gives its length.
func (s *Store) writeFrame(f File, number uint64, off, synced int64, payload []byte) (int64, error) {
	h := frame{number: number, offset: off, synced: synced, length: journalFrame(payload), sealed: len(payload) + sealOverhead}
	b := make([]byte, frameHeader, h.length)
	h.put(b)
	b = s.keys.journal.seal(b, payload, b[:frameHeader])
	_, err := f.WriteAt(b[:h.length], off)
	return h.length, err
}

func (s *Store) growJournal(size int64) error {
	if size <= s.journal.size {
		return nil
	}
	if err := s.roomFor(2*size - s.journal.size); err != nil {
		return err
	}
	return s.rewriteJournal(aligned(size))
}

// rewriteJournal writes a snapshot of all that is durable to the spare file
// and puts it in the place of the journal. The number of a file that failed
// anywhere here is burnt: it may be on the disk, so the next one must win
// over it.
func (s *Store) rewriteJournal(size int64) error {
	j := s.journal
	spare, err := s.spareJournal(size)
	if err != nil {
		return err
	}
	number := j.number + 1
	end, err := s.writeSnapshot(spare, number)
	if err != nil {
		return errors.Join(err, spare.Close())
	}
	j.number = number
	if err = s.fs.Rename(spareName, journalName(number)); err == nil {
		err = s.fs.SyncDir(".")
	}
	if err != nil {
		j.broken = true
		s.oldJournals = append(s.oldJournals, number)
		return errors.Join(err, spare.Close())
	}
	old, oldSize, reuse := j.file, j.size, !j.broken
	s.mu.Lock()
	j.file, j.end, j.size, j.broken = spare, end, size, false
	s.mu.Unlock()
	s.replaceSpare(old, reuse && oldSize == size)
	return nil
}

// spareJournal gives the file for the next snapshot; j.spare is nil until
// the rewriting is over.
func (s *Store) spareJournal(size int64) (File, error) {
	j := s.journal
	spare := j.spare
	j.spare = nil
	if spare != nil {
		if have, err := spare.Size(); err == nil && have == size {
			return spare, nil
		}
		spare.Close()
	}
	return s.makeSpare(size)
}

func (s *Store) makeSpare(size int64) (File, error) {
	f, err := s.fs.Open(spareName, os.O_RDWR|os.O_CREATE)
	if err != nil {
		return nil, err
	}
	if err := f.Allocate(size); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// replaceSpare turns the journal before into the spare, or makes a new one.
// Without one, the next snapshot makes it.
func (s *Store) replaceSpare(old File, reuse bool) {
	j := s.journal
	for _, n := range s.oldJournals {
		if reuse {
			if err := s.fs.Rename(journalName(n), spareName); err == nil {
				j.spare, reuse = old, false
				continue
			}
		}
		s.discard(journalName(n))
	}
	s.oldJournals = []uint64{j.number}
	if j.spare != nil {
		return
	}
	if old != nil {
		old.Close()
	}
	spare, err := s.makeSpare(j.size)
	if err != nil {
		s.log.Warn("spool: no spare journal yet", "error", err)
		return
	}
	j.spare = spare
}
