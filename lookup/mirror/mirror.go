package mirror

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"sealpost/lookup/keydb"
)

// Options says where a mirror is kept, and what is told of it.
type Options struct {
	File string // see the package comment for its neighbours
	// ReadOnly opens the copy as it is now, also while another process writes
	// to it. It does not follow what is written later.
	ReadOnly bool
	// Changed, if not nil, is told after each page which addresses have
	// changed, so that a cache can forget them; nil: any may have. It is called
	// by the goroutine that applies, when Get gives the new already.
	Changed func(addresses []string)
	Log     *slog.Logger     // default: slog.Default
	Clock   func() time.Time // default: time.Now

	opener opener // default: of the operating system
}

// Errors of a Mirror, to be found with errors.Is.
var (
	ErrLocked     = errors.New("the mirror is in use by another process")
	ErrReadOnly   = errors.New("the mirror was opened for reading only")
	ErrIncomplete = errors.New("the mirror is not complete yet")
)

// A Mirror is a local copy of a directory. Get and State may be called by any
// number of goroutines, also while Follow or Apply runs.
type Mirror struct {
	opts Options
	lock *os.File // nil when read-only

	current      atomic.Pointer[replica]
	writing      sync.Mutex // held by what changes the files
	next         *replica   // in the making; nil when there is none
	noCompaction int64      // FILE is not compacted before it has grown to this
	closed       bool

	told struct { // for State
		sync.Mutex
		err     error
		filling int64
		active  bool
	}
	moved signal // the sequence has
}

// Open opens the mirror, or begins an empty one. One that is damaged is begun
// anew, which is logged. It takes milliseconds, whatever the size.
//
// The error is ErrLocked, ErrForeign, ErrVersion, with ReadOnly also
// fs.ErrNotExist and ErrDamaged, or of the file system.
func Open(opts Options) (*Mirror, error) {
	if opts.Log == nil {
		opts.Log = slog.Default()
	}
	if opts.Clock == nil {
		opts.Clock = time.Now
	}
	if opts.opener == nil {
		opts.opener = openFile
	}
	m := &Mirror{opts: opts}
	if opts.ReadOnly {
		r, err := open(opts.File, true, opts.opener)
		if err != nil {
			return nil, err
		}
		m.take(r)
		return m, nil
	}
	var err error
	if m.lock, err = acquire(opts.File + ".lock"); err != nil {
		return nil, err
	}
	if err := m.load(); err != nil {
		m.lock.Close()
		return nil, err
	}
	return m, nil
}

func (m *Mirror) load() error {
	if err := private(m.opts.File); err != nil {
		return err
	}
	if err := removeFiles(m.opts.File + ".compact"); err != nil {
		return err
	}
	r, err := open(m.opts.File, false, m.opts.opener)
	if errors.Is(err, ErrDamaged) {
		m.opts.Log.Error("the mirror is damaged and is made anew", "file", m.opts.File, "error", err)
		if err = removeFiles(m.opts.File); err == nil {
			err = fs.ErrNotExist
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		r, err = create(m.opts.File, m.opts.Clock(), m.opts.opener)
	}
	if err != nil {
		return err
	}
	m.take(r)
	return m.resume()
}

// resume goes on with a copy that was in the making.
func (m *Mirror) resume() error {
	path := m.nextPath()
	r, err := open(path, false, m.opts.opener)
	switch {
	case err == nil && r.complete:
		m.next = r
		return m.swap() // it was killed just before that
	case err == nil:
		m.next = r
		m.tellNext()
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return nil
	}
	return removeFiles(path)
}

func (m *Mirror) nextPath() string { return m.opts.File + ".next" }

// take makes a replica the one that answers. A clock that has been put back
// must not make it look fresh for ever.
func (m *Mirror) take(r *replica) {
	r.contact.Store(min(r.contact.Load(), m.opts.Clock().Unix()))
	m.current.Store(r)
}

// Close ends all use of the files. Follow must have returned.
func (m *Mirror) Close() error {
	m.writing.Lock()
	defer m.writing.Unlock()
	if m.closed {
		return nil
	}
	m.closed = true
	r := m.current.Load()
	var err error
	if !m.opts.ReadOnly && len(r.delta) > 0 && !r.hurt.Load() {
		err = r.writeTable() // the next open is quicker for it
	}
	r.close()
	if m.next != nil {
		m.next.close()
	}
	if m.lock != nil {
		err = errors.Join(err, m.lock.Close())
	}
	return err
}

// Get gives the certificates of an address in its normal form, the best first.
// known is false when the directory has nothing of it: that is proven, and only
// said while the copy is complete and without damage. Every error (ErrIncomplete,
// ErrDamaged, of the file system) means that it is not known here.
//
// The certificates belong to the caller.
func (m *Mirror) Get(address string) (certs []keydb.Certificate, known bool, err error) {
	for {
		r := m.current.Load()
		certs, known, err = r.get(address)
		if errors.Is(err, os.ErrClosed) && m.current.Load() != r {
			continue // it was exchanged meanwhile
		}
		if err == nil && !known && !r.whole.Load() {
			err = ErrIncomplete
		}
		return certs, known, err
	}
}

// Complete reports whether the copy has been up to date at least once, so that
// what it does not know was not there then.
func (m *Mirror) Complete() bool { return m.current.Load().whole.Load() }

// Level reports whether the copy is complete, undamaged, and had everything that
// the directory had at LastContact. It costs nothing: unlike State it waits for
// nobody.
func (m *Mirror) Level() bool {
	r := m.current.Load()
	return r.whole.Load() && r.level.Load() && !r.hurt.Load()
}

// LastContact is when the directory was last heard of, to the second, so that
// the copy was as new as the directory then, but for the lag. Zero: never.
func (m *Mirror) LastContact() time.Time {
	seconds := m.current.Load().contact.Load()
	if seconds == 0 {
		return time.Time{}
	}
	return time.Unix(seconds, 0)
}

// Cursor is where the feed goes on.
func (m *Mirror) Cursor() string {
	r := m.current.Load()
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.cursor
}

// A State tells how a mirror is, for metrics and for people.
type State struct {
	Complete    bool      // see Mirror.Complete
	Entries     int       // addresses known
	Bytes       int64     // that the data file has
	Sequence    uint64    // number of the last change applied
	Directory   uint64    // number of the directory's last change, as of LastContact
	LastContact time.Time // zero: never
	Damaged     bool      // it is made anew as soon as the directory can be reached
	Filling     bool      // a copy is in the making beside it
	Filled      int       // addresses in that copy
	Err         error     // why the last attempt to follow failed; nil after one that did not
}

// Lag is by how many changes the copy is behind, as of LastContact.
func (s State) Lag() uint64 { return s.Directory - min(s.Sequence, s.Directory) }

// State is how the mirror is now.
func (m *Mirror) State() State {
	r := m.current.Load()
	r.mu.RLock()
	s := State{
		Complete: r.complete, Entries: int(r.entries), Bytes: r.end, Sequence: r.seq, Directory: r.directory, Damaged: r.hurt.Load(),
	}
	r.mu.RUnlock()
	s.LastContact = m.LastContact()
	m.told.Lock()
	defer m.told.Unlock()
	s.Err, s.Filling, s.Filled = m.told.err, m.told.active, int(m.told.filling)
	return s
}

func (m *Mirror) tell(err error) {
	m.told.Lock()
	defer m.told.Unlock()
	m.told.err = err
}

// tellNext tells State of the copy in the making; writing is held.
func (m *Mirror) tellNext() {
	m.told.Lock()
	defer m.told.Unlock()
	m.told.active, m.told.filling = m.next != nil, 0
	if m.next != nil {
		m.told.filling = m.next.entries
	}
}

// private makes the file readable to its owner only.
func private(path string) error {
	st, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("mirror: %w", err)
	}
	if !st.Mode().IsRegular() {
		return fmt.Errorf("mirror: %s: %w: it is not a regular file", path, ErrForeign)
	}
	if st.Mode().Perm()&0o077 != 0 {
		if err := os.Chmod(path, 0o600); err != nil {
			return fmt.Errorf("mirror: others can use the file: %w", err)
		}
	}
	return nil
}
