package lookup

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"

	"sealpost/internal/address"
	"sealpost/internal/reason"
)

// CacheOptions says what is remembered, and for how long. Negative durations
// switch off what zero would give its default.
type CacheOptions struct {
	Entries     int           // addresses, default 100000
	TTL         time.Duration // of Found, default 1 h
	NegativeTTL time.Duration // of None, default 5 min
	// Stale is how long after its TTL an answer Found may still be used when
	// the sources are unavailable, default 24 h. None is never used past its
	// time. Hazard: a certificate revoked or replaced meanwhile is still used.
	Stale   time.Duration
	Retry   time.Duration // between attempts to replace a stale answer, default 15 s
	Timeout time.Duration // of one lookup at the sources, default 30 s
	// Refreshers is how many answers at a time are asked for again ahead of
	// their time, because they are in use: default 8, negative: none.
	Refreshers int
	// File, if not nil, keeps answers Found over a restart. It stays open when
	// the cache is closed.
	File *CacheFile
	// Settings is everything that a verdict depends on: roots, sources, limits.
	// What File holds from under other settings is not used.
	Settings []byte
	// Recheck has answers in File that are older than this cache asked for
	// again, also within their time; they are used only while the sources are
	// unavailable. It is for sources that tell of changes as they happen, and
	// may have had some while nobody listened.
	Recheck bool
	// Withdrawn, if not nil, is asked about every usable certificate that comes
	// out of File: true, when its authority has withdrawn it meanwhile. It must
	// not wait. What comes out of memory is dropped by Drop.
	Withdrawn func(Candidate) bool
	Clock     func() time.Time // default: time.Now
}

func (o CacheOptions) withDefaults() CacheOptions {
	set := func(d *time.Duration, otherwise time.Duration) {
		if *d == 0 {
			*d = otherwise
		}
		*d = max(*d, 0)
	}
	set(&o.TTL, time.Hour)
	set(&o.NegativeTTL, 5*time.Minute)
	set(&o.Stale, 24*time.Hour)
	set(&o.Retry, 15*time.Second)
	set(&o.Timeout, 30*time.Second)
	if o.Entries <= 0 {
		o.Entries = 100000
	}
	if o.Refreshers == 0 {
		o.Refreshers = 8
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	return o
}

// A Cache remembers the answers of a source, which should be the whole chain.
// Answers given out of it are those of the source; an answer never outlives
// the certificates in it, whatever its TTL.
//
// An answer that is used in the last quarter of its time is asked for again in
// the background, so that a busy address never waits. With a file, an address
// that is not in memory is looked for there.
type Cache struct {
	source    atomic.Pointer[Source]
	opts      CacheOptions
	file      *fileShare
	withdrawn atomic.Pointer[func(Candidate) bool] // never nil; what it holds may be
	entries   *lru.Cache[mailbox, *entry]
	group     atomic.Pointer[singleflight.Group] // one flight per address
	ctx       context.Context                    // of the flights, which no caller's leaving ends
	cancel    context.CancelFunc
	flights   sync.WaitGroup
	ahead     chan struct{} // one place for each refresher
	counts    counts

	mu      sync.Mutex
	started uint64 // number of the flight that started last
	flushed uint64 // flights up to this one are not remembered
	flushes uint64 // how often something was flushed
}

// A mailbox is the identity of an address: comparable, and made of it without
// allocating.
type mailbox struct{ local, domain string }

func mailboxOf(addr address.Address) mailbox { return mailbox{addr.Local(), addr.ASCIIDomain()} }

// NewCache wraps a source. Close ends what runs in it.
func NewCache(source Source, opts CacheOptions) (*Cache, error) {
	opts = opts.withDefaults()
	entries, err := lru.New[mailbox, *entry](opts.Entries)
	if err != nil {
		return nil, fmt.Errorf("lookup: cache: %w", err)
	}
	c := &Cache{opts: opts, entries: entries, ahead: make(chan struct{}, max(opts.Refreshers, 0)), file: newFileShare(opts)}
	c.source.Store(&source)
	c.withdrawn.Store(&opts.Withdrawn)
	c.group.Store(new(singleflight.Group))
	c.counts.staleBySource = map[string]uint64{}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c, nil
}

// Inherit takes over what an older cache found, as answers past their time: the
// source is asked again for each address, and only while it is unavailable are
// they used. It is for a cache that nobody asks yet, and for sources and trust
// that are the same.
func (c *Cache) Inherit(old *Cache) {
	now := c.opts.Clock()
	for _, key := range old.entries.Keys() { // the least recently used first
		e, ok := old.entries.Peek(key)
		if !ok || e.answer.Outcome != Found {
			continue
		}
		c.entries.Add(key, &entry{answer: e.answer, until: now, staleUntil: earliest(e.staleUntil, now.Add(c.opts.Stale))})
	}
}

// Exchange has another source asked from now on, and another judge of what is
// withdrawn (CacheOptions.Withdrawn). It is for those that have been opened
// anew, and that answer as the old ones did: what is remembered stays.
func (c *Cache) Exchange(source Source, withdrawn func(Candidate) bool) {
	c.source.Store(&source)
	c.withdrawn.Store(&withdrawn)
}

// Lookup answers from memory or from the file, or asks the source. Many callers that ask for
// one address share one flight, which goes on when a caller leaves.
func (c *Cache) Lookup(ctx context.Context, addr address.Address) Answer {
	key := mailboxOf(addr)
	e, _ := c.entries.Get(key)
	if e == nil {
		e = c.load(addr, key)
	}
	now := c.opts.Clock()
	if e.fresh(now) {
		c.counts.hits.Add(1)
		if !now.Before(e.refreshAt) {
			c.refreshAhead(addr, key, e, now)
		}
		return e.answer
	}
	if e.resting(now) {
		if a, ok := e.stale(now); ok {
			c.counts.stale(a)
			return a
		}
	}
	c.counts.misses.Add(1)
	a := c.fly(ctx, addr, key)
	if a.Outcome != Unavailable {
		return a
	}
	return c.afterFailure(a, e, key)
}

// afterFailure falls back to the stale answer, if there is one that may be used.
func (c *Cache) afterFailure(a Answer, e *entry, key mailbox) Answer {
	c.counts.errors.Add(1)
	now := c.opts.Clock()
	if newer, ok := c.entries.Peek(key); ok {
		e = newer // the flight may have landed just as this caller left
	}
	if e.fresh(now) {
		return e.answer
	}
	old, ok := e.stale(now)
	if !ok {
		return a
	}
	old.Err, old.Asked = a.Err, a.Asked
	c.counts.stale(old)
	return old
}

// fly joins the flight for an address, or starts one.
func (c *Cache) fly(ctx context.Context, addr address.Address, key mailbox) Answer {
	landed := c.group.Load().DoChan(addr.Key(), func() (any, error) { return c.flight(addr, key), nil })
	select {
	case result := <-landed:
		return result.Val.(Answer)
	case <-ctx.Done():
		return failed(reason.LookupUnavailable, fmt.Errorf("lookup not waited for: %w", context.Cause(ctx)))
	}
}

var errClosed = errors.New("lookup: closed")

// flight asks the source and remembers what it says.
func (c *Cache) flight(addr address.Address, key mailbox) Answer {
	number, ok := c.board()
	if !ok {
		return failed(reason.LookupUnavailable, errClosed)
	}
	defer c.flights.Done()
	ctx, cancel := context.WithTimeout(c.ctx, c.opts.Timeout)
	defer cancel()
	a := believable(ctx, (*c.source.Load()).Lookup(ctx, addr))
	a.At = c.opts.Clock()
	if a.Outcome != Found && a.Outcome != None {
		if e, ok := c.entries.Peek(key); ok {
			e.rest(a, a.At.Add(c.opts.Retry))
		}
		return a
	}
	c.remember(addr, key, newEntry(a, c.opts), number)
	return a
}

// remember keeps an entry, unless it was flushed, or overtaken by a flight
// that started later.
func (c *Cache) remember(addr address.Address, key mailbox, e *entry, number uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e.number = number
	if old, ok := c.entries.Peek(key); number <= c.flushed || ok && old.number > number {
		return
	}
	c.entries.Add(key, e)
	c.file.keep(addr, e.answer)
}

// board counts a flight in and gives its number, unless the cache is closed.
func (c *Cache) board() (number uint64, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx.Err() != nil {
		return 0, false
	}
	c.flights.Add(1)
	c.started++
	return c.started, true
}

// Close ends the flights and waits for them. Lookups after it find what is
// remembered, and nothing else.
func (c *Cache) Close() {
	c.mu.Lock()
	c.cancel()
	c.mu.Unlock()
	c.flights.Wait()
}
