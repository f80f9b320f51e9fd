package revocation

// Tick does what the Checker does every few seconds by itself.
func (c *Checker) Tick() { c.refresh() }
