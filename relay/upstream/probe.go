package upstream

import (
	"context"
	"time"
)

// Health is the state of a server as sending has shown it.
type Health struct {
	Server    string
	Aside     bool      // it is passed over at the moment
	Succeeded time.Time // when a connection was last made; zero: never
	Failed    time.Time // when one last failed; zero: never
	Err       error     // of that failure
	Busy      int       // transactions under way
	Idle      int       // connections kept open
}

// Health tells of each server, in order. It does not connect to any.
func (c *Client) Health() []Health {
	now := time.Now()
	all := make([]Health, 0, len(c.servers))
	for _, s := range c.servers {
		s.mu.Lock()
		all = append(all, Health{
			Server: s.Address, Aside: now.Before(s.aside),
			Succeeded: s.trial.succeeded, Failed: s.trial.failed, Err: s.trial.err,
			Busy: len(s.slots), Idle: len(s.idle),
		})
		s.mu.Unlock()
	}
	return all
}

// OffersDSN reports whether every server that could be connected to last
// offered DSN (RFC 3461); false as long as there was none.
func (c *Client) OffersDSN() bool {
	offered := false
	for _, s := range c.servers {
		s.mu.Lock()
		known, dsn := !s.trial.succeeded.IsZero(), s.trial.dsn
		s.mu.Unlock()
		if known && !dsn {
			return false
		}
		offered = offered || known
	}
	return offered
}

// A Probed is what a server offers to us, or why it offers nothing.
type Probed struct {
	Server     string
	Err        error // a *Failure
	Remote     string
	TLS        string // as in Outcome
	Verified   bool
	LoggedIn   bool
	Extensions []string // keywords of EHLO, after TLS
	MaxSize    int64    // bytes; 0: no limit said
	Took       time.Duration
}

// Probe connects to each server as sending does (EHLO, TLS, AUTH), and quits.
func (c *Client) Probe(ctx context.Context) []Probed {
	all := make([]Probed, len(c.servers))
	if !c.begin() {
		for i, s := range c.servers {
			all[i] = Probed{Server: s.Address, Err: &Failure{Server: s.Address, Stage: StageConnect, Err: errStopping}}
		}
		return all
	}
	defer c.running.Done()
	ctx, cancel := c.tied(ctx)
	defer cancel()
	for i, s := range c.servers {
		all[i] = s.probe(ctx)
	}
	return all
}

func (s *server) probe(ctx context.Context) Probed {
	p := Probed{Server: s.Address}
	began := time.Now()
	conn, f := s.connect(ctx)
	p.Took = time.Since(began)
	s.note(conn, f, ctx.Err() != nil)
	if f != nil {
		f.Server = s.Address
		p.Err = f
		return p
	}
	p.Remote, p.TLS, p.Verified = conn.remote, conn.tlsName, conn.verified
	p.LoggedIn, p.Extensions, p.MaxSize = s.Auth != nil, conn.ext.keywords, conn.ext.maxSize
	conn.quit()
	return p
}
