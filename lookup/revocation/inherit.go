package revocation

import (
	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// Inherit takes over the lists and answers of an older Checker. It is for one
// that nobody asks yet.
func (c *Checker) Inherit(old *Checker) {
	old.mu.Lock()
	lists, answers := copies(old.lists), copies(old.answers)
	authorities := old.authorities.Keys()
	old.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range lists {
		if !c.lists.Contains(e.key) && c.memory+e.size() <= c.opts.Memory {
			c.memory += e.size()
			c.lists.Add(e.key, e)
		}
	}
	for _, e := range answers {
		if !c.answers.Contains(e.key) {
			c.answers.Add(e.key, e)
			if e.answer.verdict.Status == Revoked {
				c.refused.Add(serialKey(e.issuer.RawSubject, integer(e.cert.SerialNumber)), true)
			}
		}
	}
	for _, key := range authorities {
		c.authorities.Add(key, true)
	}
}

// copies gives the entries that have something to say, the least recently
// needed first, without their flights.
func copies(from *simplelru.LRU[string, *entry]) []*entry {
	var out []*entry
	for _, e := range from.Values() {
		if e.list == nil && e.answer == nil {
			continue
		}
		twin := *e
		twin.flight = nil
		out = append(out, &twin)
	}
	return out
}
