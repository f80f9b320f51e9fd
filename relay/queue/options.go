package queue

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"sealpost/relay/dsn"
	"sealpost/relay/spool"
	"sealpost/relay/upstream"
)

// A Deliverer brings one copy to upstream. Its error says by its *reply.Error
// and its *upstream.Failure what is to be done: 5yz is final, everything else
// is tried again. spool.ErrDamaged in it means that the body is lost. Without
// an Outcome an error says nothing about upstream. It returns soon after ctx
// ends.
type Deliverer interface {
	Deliver(ctx context.Context, it Item) (*upstream.Outcome, error)
}

// A Resolver asks whether a Held copy may go now. Any error means "not yet";
// its reason stands in listings and in the report when the message expires.
type Resolver interface {
	Resolve(ctx context.Context, it Item) (Release, error)
}

// Times are how long what waits. The zero value of each means its default.
type Times struct {
	// Retry are the waits between attempts for one message, the last one
	// again and again; each is varied by a tenth. nil: 1m, 5m, 15m, 1h.
	Retry []time.Duration
	// Expire is the age at which a message that is still refused for a time is
	// given up. For one that waited for a key it counts from when there was
	// one. 0: 120h.
	Expire time.Duration
	// DelayAfter is the age at which the sender is told, once, that a message
	// waits. 0: 4h; negative: never.
	DelayAfter time.Duration
	// HoldRecheck is the wait between two questions for a certificate. 0: 15m.
	HoldRecheck time.Duration
	// HoldExpire is the age at which a message without a certificate is given
	// up. 0: as Expire.
	HoldExpire time.Duration
}

// Options configure an Engine. Store and Hostname are needed.
type Options struct {
	Store *spool.Store
	// Hostname is our name in reports, a domain.
	Hostname string
	Times    Times
	// Workers is how many deliveries run at once at most; 0: 20.
	Workers int
	// Lookups is how many held messages are asked about at once; 0: 10.
	Lookups int
	// Compose writes a report; nil: dsn.Compose.
	Compose func(dsn.Report) ([]byte, error)
	// Observe is told of every attempt when it has ended; nil: nobody. It is
	// called from many goroutines and must not wait.
	Observe func(Attempt)
	// Now is the wall clock; nil: time.Now.
	Now func() time.Time
	// Log gets what concerns the queue as a whole; nil: slog.Default.
	Log *slog.Logger
}

// ErrOptions is the error of New when a Store or a valid Hostname is missing.
var ErrOptions = errors.New("queue: Store and Hostname must be set")

func orElse[T time.Duration | int](v, otherwise T) T {
	if v == 0 {
		return otherwise
	}
	return v
}

func (t Times) withDefaults() Times {
	t.Retry = slices.DeleteFunc(slices.Clone(t.Retry), func(d time.Duration) bool { return d <= 0 })
	if len(t.Retry) == 0 {
		t.Retry = []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour}
	}
	t.Expire = orElse(t.Expire, 120*time.Hour)
	t.DelayAfter = orElse(t.DelayAfter, 4*time.Hour)
	t.HoldRecheck = orElse(t.HoldRecheck, 15*time.Minute)
	t.HoldExpire = orElse(t.HoldExpire, t.Expire)
	return t
}

func (o Options) withDefaults() Options {
	o.Times = o.Times.withDefaults()
	o.Workers = max(1, orElse(o.Workers, 20))
	o.Lookups = max(1, orElse(o.Lookups, 10))
	if o.Compose == nil {
		o.Compose = dsn.Compose
	}
	if o.Observe == nil {
		o.Observe = func(Attempt) {}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return o
}

// interval is the wait after so many attempts.
func (t Times) interval(attempts int) time.Duration {
	return t.Retry[min(max(attempts, 1), len(t.Retry))-1]
}

// longest is the longest wait between two attempts.
func (t Times) longest() time.Duration { return max(slices.Max(t.Retry), t.HoldRecheck) }
