package lookup

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// CacheFileOptions says where a cache keeps what shall survive a restart.
type CacheFileOptions struct {
	Path     string
	Entries  int              // addresses at most, default a million
	Interval time.Duration    // between two writes, default 2 s
	Log      *slog.Logger     // default: slog.Default
	Clock    func() time.Time // default: time.Now

	noSync bool // for tests that crash a process, not a machine
}

// ErrCacheFileInUse says that another process has the cache file open.
var ErrCacheFileInUse = errors.New("is in use by another process: two servers cannot share one cache file")

// A CacheFile keeps answers Found on disk, for the caches that it is given to.
//
// It is read one address at a time, when one is not in memory, so that opening
// it takes no time however much it holds. It is written in the background,
// some seconds behind: a crash loses these seconds, and nothing else. What it
// cannot do it leaves undone and tells the log once; no lookup ever fails
// because of it.
//
// It holds nothing but answers Found: there is no content of a file that makes
// a recipient one without a certificate.
type CacheFile struct {
	opts CacheFileOptions
	db   *bolt.DB
	keep atomic.Int64 // nanoseconds after which an answer is of no use to anybody

	mu      sync.Mutex
	pending map[string]*change // not written yet
	writing map[string]*change // being written; what is pending is newer
	broken  bool               // damaged while in use: left alone from then on
	failed  bool               // the last write failed, and was told

	write sync.Mutex // held by the one who writes
	hand  []byte     // where pruning goes on
	kick  chan struct{}
	stop  chan struct{}
	done  chan struct{}

	hits, dropped atomic.Uint64
	entries       atomic.Int64
}

// A change is what is to be written of an address: an answer, or nothing.
type change struct {
	answer   *Answer
	settings settingsDigest
}

const (
	maxPending  = 100000 // changes that wait for a disk that is slow or full
	kickPending = 5000   // changes that are written at once
)

var (
	bucketAddresses = []byte("addresses")
	bucketAbout     = []byte("about")
	keyFormat       = []byte("format")
	keyCount        = []byte("count")
	fileFormat      = []byte("sealpost lookup cache 1")
)

// OpenCacheFile opens the file or makes it, readable by its owner only. A file
// that is damaged is moved aside (its name ends in .damaged then), with a
// warning, and a new one begun: what it holds can be looked up again. The error
// is ErrCacheFileInUse, or that the file cannot be made or opened.
func OpenCacheFile(opts CacheFileOptions) (*CacheFile, error) {
	if opts.Entries <= 0 {
		opts.Entries = 1000000
	}
	opts.Interval = orDefault(opts.Interval, 2*time.Second)
	if opts.Log == nil {
		opts.Log = slog.Default()
	}
	if opts.Clock == nil {
		opts.Clock = time.Now
	}
	f := &CacheFile{opts: opts, pending: map[string]*change{}, kick: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{})}
	err := f.open()
	if errors.Is(err, errCacheDamaged) {
		opts.Log.Warn("the lookup cache file is damaged; it is moved aside, and a new one begun", "file", opts.Path, "error", err)
		if err = os.Rename(opts.Path, opts.Path+".damaged"); err == nil {
			err = f.open()
		}
	}
	if err != nil {
		return nil, fmt.Errorf("lookup cache file: %s: %w", opts.Path, withoutPath(err))
	}
	go f.run()
	return f, nil
}

var errCacheDamaged = errors.New("damaged")

func withoutPath(err error) error {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Err
	}
	return err
}

// open opens the database. errCacheDamaged is the error for what only a new
// file cures.
func (f *CacheFile) open() error {
	file, err := os.OpenFile(f.opts.Path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	err = file.Chmod(0o600)
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	var db *bolt.DB
	err = guarded(func() (err error) {
		db, err = bolt.Open(f.opts.Path, 0o600, &bolt.Options{
			Timeout: time.Second, FreelistType: bolt.FreelistMapType, NoStatistics: true, NoSync: f.opts.noSync,
		})
		return err
	})
	if err == nil {
		if err = guarded(func() error { return f.begin(db) }); err != nil {
			_ = guarded(db.Close) // it may be too damaged even for that
		}
	}
	switch {
	case err == nil:
		f.db = db
		return nil
	case errors.Is(err, bolterrors.ErrTimeout):
		return ErrCacheFileInUse
	case fromSystem(err), errors.Is(err, errCacheDamaged):
		return err
	}
	return fmt.Errorf("%w: %w", errCacheDamaged, err)
}

// begin makes what a new file needs, and refuses one that is not whole. One
// that is there already it only reads: a disk that is full shall not cost it.
func (f *CacheFile) begin(db *bolt.DB) error {
	info, err := os.Stat(f.opts.Path)
	if err != nil {
		return err
	}
	empty := false
	err = db.View(func(tx *bolt.Tx) error {
		if tx.Size() > info.Size() {
			return fmt.Errorf("%w: %d bytes of %d are there", errCacheDamaged, info.Size(), tx.Size())
		}
		about, addresses := tx.Bucket(bucketAbout), tx.Bucket(bucketAddresses)
		if empty = about == nil && addresses == nil; empty {
			return nil
		}
		if about == nil || addresses == nil || string(about.Get(keyFormat)) != string(fileFormat) {
			return fmt.Errorf("%w, or of another version", errCacheDamaged)
		}
		f.entries.Store(readCount(about))
		addresses.Cursor().First() // both ways down from the root
		addresses.Cursor().Last()
		return nil
	})
	if err != nil || !empty {
		return err
	}
	return db.Update(func(tx *bolt.Tx) error {
		about, err := tx.CreateBucket(bucketAbout)
		if err != nil {
			return err
		}
		if _, err := tx.CreateBucket(bucketAddresses); err != nil {
			return err
		}
		return about.Put(keyFormat, fileFormat)
	})
}

// guarded runs what works on the database, and tells damage from a disk that is
// full or broken. A panic is damage: that is how bbolt tells of a page that
// makes no sense, and a file that has become shorter shows itself as a fault of
// memory. So is it to be asked to write at an impossible place.
func guarded(do func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", errCacheDamaged, p)
		}
	}()
	err = do()
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) && !fromSystem(err) || errors.Is(err, syscall.EINVAL) {
		return fmt.Errorf("%w: %w", errCacheDamaged, err)
	}
	return err
}

func fromSystem(err error) bool {
	var system syscall.Errno
	return errors.As(err, &system)
}

// use runs do on the database, unless it is broken, and marks it so when it
// turns out to be. Then the file is moved aside, so that the next start begins
// a new one.
func (f *CacheFile) use(do func(db *bolt.DB) error) error {
	f.mu.Lock()
	broken := f.broken
	f.mu.Unlock()
	if broken {
		return errCacheDamaged
	}
	err := guarded(func() error { return do(f.db) })
	if !errors.Is(err, errCacheDamaged) {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.broken {
		f.broken, f.pending, f.writing = true, map[string]*change{}, nil
		moved := os.Rename(f.opts.Path, f.opts.Path+".damaged")
		f.opts.Log.Error("the lookup cache file is damaged; it is moved aside and not used until the next start", "file", f.opts.Path, "error", errors.Join(err, moved))
	}
	return err
}

// get finds what is kept of an address under these settings.
func (f *CacheFile) get(key string, settings settingsDigest) (a Answer, ok bool) {
	f.mu.Lock()
	c, found := f.pending[key]
	if !found {
		c, found = f.writing[key]
	}
	f.mu.Unlock()
	if found {
		if c.answer == nil || c.settings != settings {
			return a, false
		}
		return *c.answer, true
	}
	err := f.use(func(db *bolt.DB) error {
		return db.View(func(tx *bolt.Tx) (err error) {
			if rec := tx.Bucket(bucketAddresses).Get([]byte(key)); rec != nil {
				a, ok, err = decodeRecord(key, settings, rec)
			}
			return err
		})
	})
	if errors.Is(err, errRecord) {
		f.opts.Log.Warn("a record in the lookup cache file is damaged and not used", "file", f.opts.Path)
		f.remove(key)
	}
	if err != nil || !ok {
		return Answer{}, false
	}
	return a, true
}

// put keeps an answer Found; it is written soon.
func (f *CacheFile) put(key string, settings settingsDigest, a Answer) {
	f.change(key, &change{answer: &a, settings: settings})
}

// remove forgets an address.
func (f *CacheFile) remove(key string) { f.change(key, &change{}) }

func (f *CacheFile) change(key string, c *change) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.broken {
		return
	}
	if _, known := f.pending[key]; !known && len(f.pending) >= maxPending {
		f.dropped.Add(1)
		return
	}
	f.pending[key] = c
	if len(f.pending) >= kickPending {
		select {
		case f.kick <- struct{}{}:
		default:
		}
	}
}

// Close writes what is not written yet, and closes the file.
func (f *CacheFile) Close() error {
	close(f.stop)
	<-f.done
	err := f.Sync()
	f.mu.Lock()
	broken := f.broken
	f.mu.Unlock()
	if broken {
		return nil // told already; its locks may be held for ever
	}
	return errors.Join(err, guarded(f.db.Close))
}
