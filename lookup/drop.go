package lookup

import (
	"strings"

	"sealpost/internal/address"
)

// Drop forgets every address of which a certificate was remembered as usable
// that match knows, and gives their number: what was found good is bad now.
// Nothing is kept of lookups under way either; they may have judged before.
// What only the file holds is judged when it is read (CacheOptions.Withdrawn).
func (c *Cache) Drop(match func(Candidate) bool) int {
	dropped := 0
	c.mu.Lock()
	c.flushed = c.started
	c.flushes++
	c.mu.Unlock()
	for _, key := range c.entries.Keys() {
		c.mu.Lock()
		if e, ok := c.entries.Peek(key); ok && e.uses(match) {
			c.entries.Remove(key)
			if addr, err := key.address(); err == nil {
				c.file.forget(addr)
			}
			dropped++
		}
		c.mu.Unlock()
	}
	return dropped
}

// address is the address that the identity was made of.
func (m mailbox) address() (address.Address, error) {
	return address.Parse(`"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(m.local) + `"@` + m.domain)
}

func (e *entry) uses(match func(Candidate) bool) bool {
	for _, c := range e.answer.Candidates {
		if c.Usable && match(c) {
			return true
		}
	}
	return false
}
