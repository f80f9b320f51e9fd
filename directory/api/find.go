package api

import (
	"context"
	"slices"
	"time"

	"sealpost/directory/store"
	"sealpost/internal/address"
	"sealpost/lookup/keydb"
)

// An Index answers lookups from memory. It follows the store, and may be behind
// it; Current reports whether it has all that the store had a moment ago.
//
// Get's result is the caller's; certificates that are not valid any more may be
// among it. An error means that the index cannot tell.
type Index interface {
	Get(key string) (certs []keydb.Certificate, known bool, err error)
	Current() bool
	Sequence() uint64
}

// A Lookuper is the store as lookups see it: the usable certificates of each
// key, the best first, in the order of the keys.
type Lookuper interface {
	Lookup(ctx context.Context, keys []string) ([][]store.Certificate, error)
}

// A Finder finds the certificates that somebody may be written with now. It
// asks the index, and the store while there is no index that is current. Which
// of the two is asked never depends on the address.
type Finder struct {
	index Index // may be nil
	store Lookuper
	clock func() time.Time
}

// NewFinder makes a Finder. index may be nil, and clock: then it is time.Now.
func NewFinder(index Index, store Lookuper, clock func() time.Time) *Finder {
	if clock == nil {
		clock = time.Now
	}
	return &Finder{index: index, store: store, clock: clock}
}

// Find gives the certificates for one address, the best first; none is no error.
func (f *Finder) Find(ctx context.Context, addr address.Address) ([]keydb.Certificate, error) {
	key := addr.Key()
	if f.index != nil && f.index.Current() {
		if certs, err := f.fromIndex(key); err == nil {
			return certs, nil
		}
	}
	all, err := f.fromStore(ctx, []string{key})
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// findAll is Find for many keys.
func (f *Finder) findAll(ctx context.Context, keys []string) ([][]keydb.Certificate, error) {
	if f.index == nil || !f.index.Current() {
		return f.fromStore(ctx, keys)
	}
	all := make([][]keydb.Certificate, len(keys))
	for i, key := range keys {
		certs, err := f.fromIndex(key)
		if err != nil {
			return f.fromStore(ctx, keys)
		}
		all[i] = certs
	}
	return all, nil
}

// fromIndex leaves out what the store would not have given: the index learns of
// a change, and time is none.
func (f *Finder) fromIndex(key string) ([]keydb.Certificate, error) {
	certs, _, err := f.index.Get(key)
	if err != nil || len(certs) == 0 {
		return nil, err
	}
	now := f.clock()
	return slices.DeleteFunc(certs, func(c keydb.Certificate) bool {
		return now.Before(c.NotBefore) || now.After(c.NotAfter)
	}), nil
}

func (f *Finder) fromStore(ctx context.Context, keys []string) ([][]keydb.Certificate, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTime)
	defer cancel()
	found, err := f.store.Lookup(ctx, keys)
	if err != nil {
		return nil, err
	}
	all := make([][]keydb.Certificate, len(keys))
	for i, certs := range found {
		all[i] = wireAll(certs)
	}
	return all, nil
}

// storeTime is how long the database may take. The index takes no time, and is
// asked without a timer of its own: that is a tenth of a lookup's price.
const storeTime = 20 * time.Second

// How long a writer waits for the index to have what he wrote. It is behind by
// milliseconds unless something is wrong, and then waiting does not help.
const (
	settleTime = 2 * time.Second
	settleTick = 2 * time.Millisecond
)

// settle waits until the index has everything up to seq, so that who publishes
// and then asks finds what he published.
func (f *Finder) settle(ctx context.Context, seq uint64) {
	if f.index == nil || f.index.Sequence() >= seq {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	tick := time.NewTicker(settleTick)
	defer tick.Stop()
	for f.index.Sequence() < seq {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
