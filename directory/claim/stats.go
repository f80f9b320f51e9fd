package claim

import "sync/atomic"

// Stats are counts of this node since its start.
type Stats struct {
	Sent, Retried, GivenUp            uint64 // notices: a server took it; did not, and is asked again; or never
	Proven                            uint64 // codes that were right
	WrongCodes, WrongAnswers, Limited uint64 // attempts that were not; and those that were not looked at
	Taken, Read, Replaced, Deleted    uint64 // what became of keys
}

type counters struct {
	sent, retried, givenUp            atomic.Uint64
	proven                            atomic.Uint64
	wrongCodes, wrongAnswers, limited atomic.Uint64
	taken, read, replaced, deleted    atomic.Uint64
}

// Stats counts.
func (e *Engine) Stats() Stats {
	c := &e.stats
	return Stats{
		Sent: c.sent.Load(), Retried: c.retried.Load(), GivenUp: c.givenUp.Load(), Proven: c.proven.Load(),
		WrongCodes: c.wrongCodes.Load(), WrongAnswers: c.wrongAnswers.Load(), Limited: c.limited.Load(),
		Taken: c.taken.Load(), Read: c.read.Load(), Replaced: c.replaced.Load(), Deleted: c.deleted.Load(),
	}
}

// tooMany counts an attempt that is not looked at.
func (e *Engine) tooMany() error {
	e.stats.limited.Add(1)
	return ErrTooMany
}
