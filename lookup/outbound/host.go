package outbound

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sync/semaphore"
)

const (
	maxHosts     = 10000
	patience     = 3 // failures in a row before a host is left alone
	firstRest    = 30 * time.Second
	longestRest  = 15 * time.Minute
	forgottenFor = time.Hour
)

// A host is one server, by the name and port of its URL.
type host struct {
	turns    *semaphore.Weighted
	inside   int // fetches that wait or run
	failures int // in a row
	until    time.Time
	last     time.Time
}

// enter waits for a turn at a host, and for one among all. leave must be
// called with how it went.
func (c *Client) enter(ctx context.Context, name string) (leave func(error), err error) {
	name = strings.ToLower(name)
	c.mu.Lock()
	h, now := c.host(name), c.opts.Clock()
	if h == nil {
		c.mu.Unlock()
		return nil, fmt.Errorf("%w: too many different servers at once", ErrResting)
	}
	if now.Before(h.until) {
		c.mu.Unlock()
		return nil, ErrResting
	}
	h.inside++
	c.mu.Unlock()
	out := func() {
		c.mu.Lock()
		h.inside--
		h.last = c.opts.Clock()
		c.mu.Unlock()
	}
	if err := h.turns.Acquire(ctx, 1); err != nil {
		out()
		return nil, fmt.Errorf("no turn in time: %w", err)
	}
	// Those who waited while the host turned out to be away do not try it too.
	c.mu.Lock()
	resting := c.opts.Clock().Before(h.until)
	c.mu.Unlock()
	if resting {
		err = ErrResting
	} else if err = c.all.Acquire(ctx, 1); err != nil {
		err = fmt.Errorf("no turn in time: %w", err)
	}
	if err != nil {
		h.turns.Release(1)
		out()
		return nil, err
	}
	return func(err error) {
		c.all.Release(1)
		h.turns.Release(1)
		c.note(h, err)
		out()
	}, nil
}

// host finds or makes the entry; nil when too many are in use. The caller
// holds the mutex.
func (c *Client) host(name string) *host {
	if h, ok := c.hosts[name]; ok {
		return h
	}
	if len(c.hosts) >= maxHosts {
		now := c.opts.Clock()
		for n, h := range c.hosts {
			if h.inside == 0 && now.After(h.last.Add(forgottenFor)) {
				delete(c.hosts, n)
			}
		}
		if len(c.hosts) >= maxHosts {
			return nil
		}
	}
	h := &host{turns: semaphore.NewWeighted(int64(c.opts.PerHost))}
	c.hosts[name] = h
	return h
}

// note keeps count of failures. A server that answers, whatever it says, is
// there; so is one whose answer was too large.
func (c *Client) note(h *host, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil || errors.Is(err, ErrStatus) || errors.Is(err, ErrTooLarge) || errors.Is(err, context.Canceled) {
		h.failures, h.until = 0, time.Time{}
		return
	}
	if h.failures++; h.failures >= patience {
		rest := firstRest << min(h.failures-patience, 10)
		h.until = c.opts.Clock().Add(min(rest, longestRest))
	}
}
