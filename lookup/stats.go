package lookup

import (
	"maps"
	"sync"
	"sync/atomic"
)

// CacheStats counts what callers of a Cache got, since the start.
type CacheStats struct {
	Hits   uint64 // answered from memory, in time
	Misses uint64 // had to wait for the sources; many may have shared one flight
	Stale  uint64 // answered from memory past the time, the sources being unavailable
	Ahead  uint64 // asked for again in the background before their time was over
	Errors uint64 // waited, and found the sources unavailable; Stale when that helped
	// StaleBySource counts the stale answers by the source that had given them.
	StaleBySource map[string]uint64
	Entries       int // addresses remembered now
}

type counts struct {
	hits, misses, errors, ahead atomic.Uint64

	mu            sync.Mutex
	staleBySource map[string]uint64
}

func (c *counts) stale(a Answer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.staleBySource[a.Source]++
}

// Stats is a snapshot of the counters.
func (c *Cache) Stats() CacheStats {
	s := CacheStats{
		Hits: c.counts.hits.Load(), Misses: c.counts.misses.Load(), Errors: c.counts.errors.Load(), Ahead: c.counts.ahead.Load(),
		Entries: c.entries.Len(),
	}
	c.counts.mu.Lock()
	defer c.counts.mu.Unlock()
	s.StaleBySource = maps.Clone(c.counts.staleBySource)
	for _, n := range s.StaleBySource {
		s.Stale += n
	}
	return s
}
