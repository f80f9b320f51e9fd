// Package store keeps the directory's certificates: in a file (SQLite), or in
// PostgreSQL when several nodes share them.
//
// What may happen to a certificate is decided in one place for both (book.go),
// inside a transaction that is alone in writing: the first thing it does is to
// lock the one row of the table meta, and that lock is held until it commits.
// The numbers of changes come from that row, so the order of numbers is the
// order of commits, and who has read up to a number never misses a smaller one.
// The feed of changes (feed.go) stands on this.
package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Errors of this package, to be found with errors.Is. Any other is trouble with
// the database, and may pass.
var (
	ErrClosed    = errors.New("the store is closed")
	ErrNotFound  = errors.New("there is no such certificate in the directory")
	ErrRevoked   = errors.New("the certificate is revoked, and that is for good")
	ErrExpired   = errors.New("the certificate has expired")
	ErrNoAddress = errors.New("the certificate names no address, and none was given")
	ErrAddresses = fmt.Errorf("more than %d addresses for one certificate", MaxAddresses)
	ErrStatus    = errors.New("this status cannot be given")
	ErrFull      = errors.New("there is no room for the database")
	ErrNewer     = errors.New("the database was written by a newer Sealpost: use that one, or restore a backup")
	ErrForeign   = errors.New("this is a database of another program")
)

// MaxAddresses is how many addresses one certificate may have.
const MaxAddresses = 1000

// Options say which database, and how.
type Options struct {
	// URL is "sqlite:FILE", or "postgres://USER@HOST:PORT/DATABASE?…" with the
	// parameters of libpq. The role must own the database or its schema "sealpost".
	URL string
	// Password is the one for PostgreSQL, when it is not in URL or a .pgpass file.
	Password string
	// HoldKeyChange: a new key for an address that has another one waits (held)
	// until an operator accepts it; without, it takes the other one's place.
	HoldKeyChange bool
	// Timeout bounds a read, default 10 s; a write may take three times as long, for
	// it waits for other writers.
	Timeout time.Duration
	Log     *slog.Logger
	Clock   func() time.Time // default: time.Now
}

// A Store is an open database. Its methods may be called from many goroutines.
type Store struct {
	opts    Options
	engine  engine
	pooling *pooling // nil with SQLite, which is no way off
	epoch   atomic.Pointer[string]
	news    news
	deaf    atomic.Bool // the watcher cannot read, and has told so
	stop    context.CancelFunc
	done    context.Context
	watch   sync.Once
	tasks   sync.WaitGroup
	closed  sync.Once
}

// Open opens the database, makes its tables when it is empty, and brings them to
// this version's form when they are of an earlier one.
func Open(ctx context.Context, opts Options) (*Store, error) {
	if opts.Timeout <= 0 {
		opts.Timeout = 10 * time.Second
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.Clock == nil {
		opts.Clock = time.Now
	}
	e, err := openEngine(ctx, opts)
	if err != nil {
		return nil, err
	}
	s := &Store{opts: opts, engine: e}
	s.news.changed = make(chan struct{})
	s.done, s.stop = context.WithCancel(context.Background())
	err = s.begin(ctx)
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if _, server := e.(*postgresEngine); server {
		s.pooling = startPooling(s)
	}
	return s, nil
}

func openEngine(ctx context.Context, opts Options) (engine, error) {
	scheme, rest, _ := strings.Cut(opts.URL, ":")
	switch scheme {
	case "sqlite":
		return openSQLite(rest, opts.Timeout)
	case "postgres", "postgresql":
		return openPostgres(ctx, opts)
	}
	return nil, fmt.Errorf("the database must be sqlite:FILE or postgres://…, not %q", scheme)
}

func (s *Store) begin(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 3*s.opts.Timeout)
	defer cancel()
	if err := s.engine.migrate(ctx); err != nil {
		return err
	}
	return s.refresh(ctx)
}

// Close ends everything that waits, and closes the database.
func (s *Store) Close() (err error) {
	s.closed.Do(func() {
		s.stop()
		s.tasks.Wait()
		err = s.engine.close()
	})
	return err
}

// Epoch names the history of this database: random, and another one after a
// backup was restored. Sequence numbers of two epochs have nothing in common.
func (s *Store) Epoch() string { return *s.epoch.Load() }

// Sequence is the number of the last change; 0 when there was none.
func (s *Store) Sequence(ctx context.Context) (uint64, error) {
	if err := s.refresh(ctx); err != nil {
		return 0, err
	}
	return s.news.last(), nil
}

// refresh reads epoch and sequence.
func (s *Store) refresh(ctx context.Context) error {
	var epoch string
	var seq int64
	err := s.read(ctx, false, func(ctx context.Context, t tx) error {
		return one(ctx, t, "SELECT epoch, seq FROM meta", &epoch, &seq)
	})
	if err != nil {
		return err
	}
	if old := s.epoch.Swap(&epoch); old != nil && *old != epoch {
		s.news.restart(uint64(seq))
	}
	s.news.advance(uint64(seq))
	return nil
}

// alive gives a context that ends with ctx, after the time, or with the store.
func (s *Store) alive(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc, error) {
	if s.done.Err() != nil {
		return nil, nil, ErrClosed
	}
	ctx, cancel := context.WithTimeout(ctx, d)
	return ctx, cancel, nil
}

// read has f use the context it is given, which ends in time.
func (s *Store) read(ctx context.Context, snapshot bool, f func(context.Context, tx) error) error {
	ctx, cancel, err := s.alive(ctx, s.opts.Timeout)
	if err != nil {
		return err
	}
	defer cancel()
	return s.engine.read(ctx, snapshot, func(t tx) error { return f(ctx, t) })
}

func (s *Store) write(ctx context.Context, f func(context.Context, tx) error) error {
	ctx, cancel, err := s.alive(ctx, 3*s.opts.Timeout)
	if err != nil {
		return err
	}
	defer cancel()
	return s.engine.write(ctx, func(t tx) error { return f(ctx, t) })
}

func (s *Store) now() time.Time { return s.opts.Clock().Truncate(time.Second) }
