package lookup

import (
	"time"

	"sealpost/internal/address"
)

// refreshAhead asks for an answer again while it is still good. The caller does
// not wait. When all refreshers have enough to do, the next use tries again;
// when the sources are unavailable, the next use after a while.
func (c *Cache) refreshAhead(addr address.Address, key mailbox, e *entry, now time.Time) {
	if c.opts.Refreshers < 0 || e.resting(now) || !e.refreshing.CompareAndSwap(false, true) {
		return
	}
	select {
	case c.ahead <- struct{}{}:
	default:
		e.refreshing.Store(false)
		return
	}
	if _, ok := c.board(); !ok {
		<-c.ahead
		return
	}
	c.counts.ahead.Add(1)
	landed := c.group.Load().DoChan(addr.Key(), func() (any, error) { return c.flight(addr, key), nil })
	go func() {
		defer c.flights.Done()
		<-landed
		<-c.ahead
		e.refreshing.Store(false)
	}()
}
