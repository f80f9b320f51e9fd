package spool

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"

	"golang.org/x/sync/semaphore"
)

// A Store is one open spool directory. Its methods may be called at the same
// time from many goroutines. Three goroutines belong to it, until Close: one
// writes messages, one writes changes, one cleans up.
type Store struct {
	opt     Options
	fs      FS
	log     *slog.Logger
	keys    sealers
	lock    *os.File
	memory  *semaphore.Weighted
	buffers sync.Pool

	appends *group[appendRequest]
	changes *group[changeRequest]
	journal *journal
	// oldJournals are numbers of files that the next snapshot makes needless,
	// the one in use first. It belongs to the journal's committer.
	oldJournals []uint64
	active      *segment // set by the appends' committer only

	mu       sync.Mutex // guards what follows, and the fields of segments and entries
	closed   bool
	entries  map[string]*entry
	byUID    map[uid]*entry
	segments map[uint64]*segment
	free     []uint64 // numbers of files for new segments
	trash    []trashed
	copying  *entry // whose copy the cleaner is writing
	pending  map[string]bool
	// used, reserved: bytes of messages, and of those being put now.
	used, reserved int64
	// stateSize, reservedState: the same for their part of a snapshot.
	stateSize, reservedState int64
	lastSegment              uint64
	open                     int // parcels
	quarantined, damages     int
	foreign, unfinished      int
	commits, failures        int64

	clean    chan struct{} // wakes the cleaner
	stop     chan struct{} // ends it
	running  sync.WaitGroup
	cleaning sync.WaitGroup
}

// Open opens a spool directory, or makes it. What was left by a crash is put
// in order: torn ends are dropped, damage goes to quarantine and to the log,
// and everything that was acknowledged is there. Errors that errors.Is tells
// apart: ErrLocked, ErrKey, ErrVersion, ErrPermission, ErrFull.
func Open(opt Options) (*Store, error) {
	opt = opt.withDefaults()
	if err := prepareDir(opt.Dir); err != nil {
		return nil, err
	}
	if opt.FS == nil {
		opt.FS = disk{opt.Dir}
	}
	lock, err := acquireLock(opt.Dir)
	if err != nil {
		return nil, err
	}
	s := newStore(opt)
	s.lock = lock
	if err := s.load(); err != nil {
		s.closeFiles()
		return nil, fmt.Errorf("spool: %w", asFull(err))
	}
	s.running.Go(s.commitAppends)
	s.running.Go(s.commitChanges)
	s.cleaning.Go(s.cleanUp)
	s.signalCleaner()
	return s, nil
}

func newStore(opt Options) *Store {
	return &Store{
		opt: opt, fs: opt.FS, log: opt.Log,
		memory:  semaphore.NewWeighted(opt.Memory),
		appends: newGroup[appendRequest](), changes: newGroup[changeRequest](),
		journal: &journal{},
		entries: make(map[string]*entry), byUID: make(map[uid]*entry),
		segments: make(map[uint64]*segment), pending: make(map[string]bool),
		clean: make(chan struct{}, 1), stop: make(chan struct{}),
	}
}

// Close ends the store: calls that are under way finish, then a last snapshot
// is written, so that the next Open knows all that must be there. Readers of
// bodies must be closed before.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()
	close(s.stop)
	s.cleaning.Wait()
	s.appends.close()
	s.changes.close()
	s.running.Wait()
	s.mu.Lock()
	s.sealActive()
	s.mu.Unlock()
	err := s.rewriteJournal(s.journal.size)
	if err != nil {
		err = fmt.Errorf("spool: last snapshot: %w", err)
	}
	return errors.Join(err, s.closeFiles())
}

// closeFiles lets go of all files and, with the lock, of the directory.
func (s *Store) closeFiles() error {
	var errs []error
	for _, seg := range s.segments {
		errs = append(errs, seg.file.Close())
	}
	for _, f := range []File{s.journal.file, s.journal.spare} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(append(errs, s.lock.Close())...)
}

// buffer gives n bytes of any content.
func (s *Store) buffer(n int64) *[]byte {
	if b, ok := s.buffers.Get().(*[]byte); ok && int64(cap(*b)) >= n {
		*b = (*b)[:n]
		return b
	}
	b := make([]byte, n)
	return &b
}

// recycle takes a buffer back; very large ones are left to the collector.
func (s *Store) recycle(b *[]byte) {
	if cap(*b) <= 256<<10 {
		s.buffers.Put(b)
	}
}
