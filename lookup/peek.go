package lookup

import (
	"time"

	"sealpost/internal/address"
)

// A Remembered is what a cache holds of an address, for people.
type Remembered struct {
	Answer     Answer    // as it was obtained at Answer.At
	Fresh      bool      // it is used without asking anybody
	Until      time.Time // when it is or was too old for that
	StaleUntil time.Time // until when it may be used while the sources are unavailable; zero: not at all
	File       bool      // it is in the file only, and will be in memory when it is used
	// Failed is why the sources could not be asked again, and Retry when the next
	// attempt may be made; nil and zero when they could.
	Failed error
	Retry  time.Time
}

// Peek tells what is remembered of an address, and changes nothing. ok is
// false when that is nothing.
func (c *Cache) Peek(addr address.Address) (r Remembered, ok bool) {
	e, ok := c.entries.Peek(mailboxOf(addr))
	if !ok && !c.file.idle() {
		e = c.filed(addr)
		r.File = e != nil
	}
	if e == nil {
		return r, false
	}
	r.Answer, r.Fresh, r.Until = e.answer, e.fresh(c.opts.Clock()), e.until
	if e.answer.Outcome == Found && e.staleUntil.After(e.until) {
		r.StaleUntil = e.staleUntil
	}
	if f := e.restingUntil.Load(); f != nil {
		r.Failed, r.Retry = f.answer.Err, f.until
	}
	return r, true
}
