package api

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sealpost/directory/harvest"
	"sealpost/directory/store"
	"sealpost/lookup/keydb"
)

// A Writer changes what is stored.
type Writer interface {
	Add(ctx context.Context, certs []store.New) ([]store.Added, error)
	SetStatus(ctx context.Context, fingerprint [32]byte, status store.Status, why string) error
}

// A Feed tells what has changed.
type Feed interface {
	Changes(ctx context.Context, since uint64, limit int) ([]store.Change, error)
	Sequence(ctx context.Context) (uint64, error)
	Wait(ctx context.Context, since uint64) error // returns when the sequence is beyond since
	Epoch() string                                // of the database: another one after a restored backup
}

// An Authenticator knows the tokens; the error for an unknown one is
// store.ErrToken.
type Authenticator interface {
	Authenticate(ctx context.Context, secret string) (store.Token, error)
}

// A Store is all that the API needs of *store.Store.
type Store interface {
	Lookuper
	Writer
	Feed
	Authenticator
}

// A Harvester reads signed messages; what it refuses is a *harvest.Refusal.
type Harvester interface {
	Read(ctx context.Context, message io.Reader) (harvest.Learned, error)
}

// A Page is the part for people. It serves every path that is not the API's.
type Page interface {
	http.Handler
	// Refuse tells a person what he is told with this status.
	Refuse(w http.ResponseWriter, r *http.Request, status int)
}

// Options say what the API stands on and what it allows.
type Options struct {
	Store     Store
	Finder    *Finder   // default: one that asks the store
	Harvester Harvester // nil: POST /v1/messages is not there
	Page      Page      // nil: there are no pages
	// Provisioner makes keys; nil: POST /v1/keys is not there.
	Provisioner Provisioner

	RequireToken   bool           // lookups need the scope read
	TrustedProxies []netip.Prefix // whose X-Forwarded-For is believed
	Limits         Limits
	CacheFor       time.Duration // how long others may keep an answer, default 1 min

	Log     *slog.Logger          // default: slog.Default
	Metrics prometheus.Registerer // default: none
	Clock   func() time.Time      // default: time.Now
}

// Limits bound what clients can make the directory do.
type Limits struct {
	PerSecond   int           // lookups of one client without a token in the long run, default 10; below 0: no limit
	Burst       int           // lookups of one client at once, default 100
	Batch       int           // addresses, default and at most keydb.MaxBatch
	Publication int64         // bytes of a body of POST /v1/certificates, default 1 MiB
	Message     int64         // bytes of a message, default 25 MiB
	Calls       int           // under way at once, default 1000
	Messages    int           // under way at once, default 16
	Feeds       int           // followers of the feed at once, default 100
	CallTime    time.Duration // for the database to answer one call, default 20 s
}

func orDefault[T int | int64 | time.Duration](v, otherwise T) T {
	if v == 0 {
		return otherwise
	}
	return v
}

func (o *Options) complete() error {
	if o.Store == nil {
		return errors.New("api: a store is needed")
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Finder == nil {
		o.Finder = NewFinder(nil, o.Store, o.Clock)
	}
	o.CacheFor = orDefault(o.CacheFor, time.Minute)
	o.Limits.complete()
	return nil
}

func (l *Limits) complete() {
	l.PerSecond = orDefault(l.PerSecond, 10)
	l.Burst = orDefault(l.Burst, 100)
	l.Batch = min(orDefault(l.Batch, keydb.MaxBatch), keydb.MaxBatch)
	l.Publication = orDefault(l.Publication, 1<<20)
	l.Message = orDefault(l.Message, 25<<20)
	l.Calls = orDefault(l.Calls, 1000)
	l.Messages = orDefault(l.Messages, 16)
	l.Feeds = orDefault(l.Feeds, 100)
	l.CallTime = orDefault(l.CallTime, 20*time.Second)
}
