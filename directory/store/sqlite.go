package store

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"time"
)

// applicationID marks our files in SQLite's header ("SPst").
const applicationID = 0x53507374

const (
	// With pages of 32 KiB two dozen certificates fill one to the brim; in SQLite's
	// usual 4 KiB three fit, and up to a third of the file is air.
	pageSize = 32768
	// After this many pages the log is written back into the file (64 MiB).
	checkpointPages = 2048
	// How much of the file is read through the page cache of the system, without
	// copying. Files beyond it are read in the usual way past that point.
	mmapSize = 16 << 30
	// watchEvery is how often a file is asked whether another process wrote to it.
	// Asking takes microseconds: a look into shared memory.
	watchEvery = 100 * time.Millisecond
)

// placeSQLite is what meta.origin holds but in a backup.
const placeSQLite = "sqlite"

// A sqliteEngine is a file. One connection writes; a few read beside it.
type sqliteEngine struct {
	path    string
	dsn     string
	timeout time.Duration
	writer  chan *sqliteConn // holds one, while nobody writes
	readers chan *sqliteConn // nil: not opened yet
}

// sqliteDSN makes a URI of a file name: whatever stands in it is part of the name.
func sqliteDSN(path string) string {
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?_txlock=immediate"
}

func openSQLite(path string, timeout time.Duration) (*sqliteEngine, error) {
	if path == "" || path == ":memory:" {
		return nil, errors.New("sqlite: the name of a file is missing")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	// SQLite would make it readable for everybody.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	e := &sqliteEngine{path: path, dsn: sqliteDSN(path), timeout: timeout}
	e.writer = make(chan *sqliteConn, 1)
	e.readers = make(chan *sqliteConn, max(4, 2*runtime.GOMAXPROCS(0)))
	w, err := e.open()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	e.writer <- w
	for range cap(e.readers) {
		e.readers <- nil
	}
	return e, nil
}

// open makes a connection. synchronous=FULL: a commit is on the disk before it
// is told, or a power failure would take back numbers that mirrors have seen.
func (e *sqliteEngine) open() (*sqliteConn, error) {
	return openSQLiteConn(e.dsn,
		fmt.Sprintf("busy_timeout = %d", e.timeout.Milliseconds()),
		fmt.Sprintf("page_size = %d", pageSize), // of a new file
		"journal_mode = WAL",
		"synchronous = FULL",
		fmt.Sprintf("wal_autocheckpoint = %d", checkpointPages),
		fmt.Sprintf("mmap_size = %d", mmapSize),
		"cache_size = -32768", // KiB, each connection
		"temp_store = MEMORY",
		"secure_delete = FAST", // a deleted key is overwritten
	)
}

func (e *sqliteEngine) reader(ctx context.Context) (*sqliteConn, error) {
	select {
	case c, open := <-e.readers:
		if !open {
			return nil, ErrClosed
		}
		if c != nil {
			return c, nil
		}
		c, err := e.open()
		if err != nil {
			e.readers <- nil
			return nil, err
		}
		return c, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (e *sqliteEngine) read(ctx context.Context, snapshot bool, f func(tx) error) error {
	c, err := e.reader(ctx)
	if err != nil {
		return err
	}
	defer func() { e.readers <- c }()
	if !snapshot {
		return f(c)
	}
	if err := c.exec(ctx, "BEGIN"); err != nil {
		return err
	}
	return errors.Join(f(c), c.exec(ctx, "COMMIT"))
}

// takeWriter waits until nobody of this process writes.
func (e *sqliteEngine) takeWriter(ctx context.Context) (*sqliteConn, error) {
	select {
	case c := <-e.writer:
		if c == nil {
			return nil, ErrClosed
		}
		return c, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (e *sqliteEngine) write(ctx context.Context, f func(tx) error) error {
	c, err := e.takeWriter(ctx)
	if err != nil {
		return err
	}
	defer func() { e.writer <- c }()
	if err := c.begin(ctx); err != nil {
		// A context that ends at the wrong moment is reported though the transaction
		// has begun; left open, it would keep everybody from writing for good.
		_ = c.exec(ctx, "ROLLBACK")
		return err
	}
	err = f(c)
	if err == nil {
		err = ctx.Err()
	}
	if err == nil {
		err = c.exec(ctx, "COMMIT")
	}
	if err != nil {
		// After some errors (a full disk) SQLite has rolled back by itself, and says
		// that there is nothing to roll back.
		_ = c.exec(ctx, "ROLLBACK")
	}
	if hasCode(err, sqliteFull) {
		err = fmt.Errorf("%w: %w", ErrFull, err)
	}
	return err
}

func (e *sqliteEngine) migrate(ctx context.Context) error {
	return e.write(ctx, func(t tx) error {
		var application, tables int64
		if err := one(ctx, t, "PRAGMA application_id", &application); err != nil {
			return err
		}
		if err := one(ctx, t, "SELECT count(*) FROM sqlite_master", &tables); err != nil {
			return err
		}
		if tables > 0 && application != applicationID {
			return ErrForeign
		}
		if tables == 0 {
			if err := t.exec(ctx, fmt.Sprintf("PRAGMA application_id = %d", applicationID)); err != nil {
				return err
			}
		}
		if err := applySchema(ctx, t, tables == 0, t.(*sqliteConn).script); err != nil {
			return err
		}
		return settleEpoch(ctx, t, placeSQLite)
	})
}

func (e *sqliteEngine) watch(ctx context.Context, poke func(uint64)) {
	c, err := e.open()
	for ; err != nil; c, err = e.open() {
		if !pause(ctx, time.Second) {
			return
		}
	}
	defer c.close()
	last := int64(-1)
	for pause(ctx, watchEvery) {
		var version int64
		if err := one(ctx, c, "PRAGMA data_version", &version); err == nil && version != last {
			last = version
			poke(0)
		}
	}
}

func (e *sqliteEngine) size(context.Context) (int64, error) {
	var total int64
	for _, name := range []string{e.path, e.path + "-wal"} {
		info, err := os.Stat(name)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return 0, err
		}
		total += info.Size()
	}
	return total, nil
}

// close waits for those who read and write, and closes their connections.
func (e *sqliteEngine) close() error {
	var errs []error
	for range cap(e.readers) {
		if c := <-e.readers; c != nil {
			errs = append(errs, c.close())
		}
	}
	close(e.readers)
	errs = append(errs, (<-e.writer).close())
	close(e.writer)
	return errors.Join(errs...)
}

// pause waits, and reports whether ctx still holds.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
