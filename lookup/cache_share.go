package lookup

import (
	"sync/atomic"
	"time"

	"sealpost/internal/address"
)

// A fileShare is a cache's use of a file; nil where it has none.
type fileShare struct {
	file     *CacheFile
	settings settingsDigest
	recheck  time.Time // answers older than this are not fresh; zero: they are
	left     atomic.Bool
}

func newFileShare(opts CacheOptions) *fileShare {
	if opts.File == nil {
		return nil
	}
	s := &fileShare{file: opts.File, settings: digestSettings(opts.Settings)}
	if opts.Recheck {
		s.recheck = opts.Clock()
	}
	opts.File.keep.Store(int64(opts.TTL + opts.Stale))
	return s
}

// LeaveFile has the cache read and write its file no more. It is for one that
// others have taken the place of.
func (c *Cache) LeaveFile() {
	if c.file != nil {
		c.file.left.Store(true)
	}
}

func (s *fileShare) idle() bool { return s == nil || s.left.Load() }

// keep takes over what the sources have said. Of None only that nothing else is
// true any more: a file never says that somebody has no certificate.
func (s *fileShare) keep(addr address.Address, a Answer) {
	switch {
	case s.idle():
	case a.Outcome == Found:
		s.file.put(addr.Key(), s.settings, a)
	default:
		s.file.remove(addr.Key())
	}
}

func (s *fileShare) forget(addr address.Address) {
	if !s.idle() {
		s.file.remove(addr.Key())
	}
}

// load looks for an address in the file, and takes what is there into memory.
func (c *Cache) load(addr address.Address, key mailbox) *entry {
	if c.file.idle() {
		return nil
	}
	c.mu.Lock()
	flushes := c.flushes
	c.mu.Unlock()
	e := c.filed(addr)
	if e == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if newer, ok := c.entries.Peek(key); ok {
		return newer
	}
	if c.flushes != flushes {
		return nil // this address may have been flushed meanwhile
	}
	c.entries.Add(key, e)
	c.file.file.hits.Add(1)
	return e
}

// filed is what the file holds of an address, as far as it is of use.
func (c *Cache) filed(addr address.Address) *entry {
	a, ok := c.file.file.get(addr.Key(), c.file.settings)
	now := c.opts.Clock()
	if !ok || a.At.After(now) { // from the future: one of two clocks was wrong, and nobody knows how old it is
		return nil
	}
	e := newEntry(a, c.opts)
	if withdrawn := *c.withdrawn.Load(); withdrawn != nil && e.uses(withdrawn) {
		c.file.forget(addr)
		return nil
	}
	if a.At.Before(c.file.recheck) {
		e.until = earliest(e.until, a.At)
	}
	if !e.fresh(now) && !now.Before(e.staleUntil) {
		return nil
	}
	return e
}
