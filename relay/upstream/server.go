package upstream

import (
	"context"
	"crypto/tls"
	"slices"
	"sync"
	"time"
)

// A server is one upstream server with its connections and its fortunes.
type server struct {
	Server
	client *Client
	tls    *tls.Config
	slots  chan struct{} // one for each transaction under way

	mu    sync.Mutex
	idle  []*conn // the one used last at the end
	aside time.Time
	plain time.Time // until then STARTTLS is not tried
	trial trial
}

// trial is what is remembered of connecting.
type trial struct {
	failed, succeeded time.Time
	err               error
	dsn               bool // offered when it succeeded
}

func newServer(c *Client, s Server) *server {
	return &server{Server: s, client: c, tls: s.tlsConfig(), slots: make(chan struct{}, c.opts.MaxConnections)}
}

func (s *server) timeouts() Timeouts { return s.client.opts.Timeouts }

// send takes one message through this server: over an idle connection, or a
// new one. An idle connection that turns out to be dead is replaced once.
func (s *server) send(ctx context.Context, t *transaction) *Failure {
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-ctx.Done():
		return cancelled(ctx, StageWait, NotTaken)
	}
	if t.out.Started.IsZero() {
		t.out.Started = time.Now()
	}
	if c := s.takeIdle(); c != nil {
		f := s.use(ctx, c, t)
		if f == nil || !f.stale || ctx.Err() != nil {
			return f
		}
	}
	began := time.Now()
	c, f := s.connect(ctx)
	t.out.Connect += time.Since(began)
	s.note(c, f, ctx.Err() != nil)
	if f != nil {
		return f
	}
	return s.use(ctx, c, t)
}

// use sends one message over a connection and keeps or ends it.
func (s *server) use(ctx context.Context, c *conn, t *transaction) *Failure {
	t.begin(c)
	began := time.Now()
	f := c.guard(ctx, func() *Failure { return c.deliver(t) })
	t.out.Transmit += time.Since(began)
	if !c.reusable() {
		if c.spoiled {
			c.abort()
		} else {
			c.quit()
		}
		return f
	}
	c.idleSince = began.Add(time.Since(began))
	if !s.putIdle(c) {
		c.quit()
	}
	return f
}

// takeIdle gives the connection that was used last, if it is still good.
func (s *server) takeIdle() *conn {
	for {
		s.mu.Lock()
		n := len(s.idle)
		if n == 0 {
			s.mu.Unlock()
			return nil
		}
		c := s.idle[n-1]
		s.idle[n-1] = nil
		s.idle = s.idle[:n-1]
		s.mu.Unlock()
		if !c.pending() {
			return c
		}
		c.abort()
	}
}

func (s *server) putIdle(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.idle) >= s.client.opts.MaxIdle || s.client.ctx.Err() != nil {
		return false
	}
	s.idle = append(s.idle, c)
	return true
}

// expire closes the connections that have been idle since before then; the
// zero time means all.
func (s *server) expire(before time.Time) {
	s.mu.Lock()
	n := 0
	for n < len(s.idle) && (before.IsZero() || s.idle[n].idleSince.Before(before)) {
		n++
	}
	old := slices.Clone(s.idle[:n])
	s.idle = slices.Delete(s.idle, 0, n)
	s.mu.Unlock()
	for _, c := range old {
		c.quit()
	}
}

// note remembers how connecting went. That a caller gave up says nothing about
// the server.
func (s *server) note(c *conn, f *Failure, gaveUp bool) {
	if gaveUp {
		return
	}
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if f == nil {
		s.trial.succeeded, s.trial.dsn, s.aside = now, c.ext.dsn, time.Time{}
		return
	}
	s.trial.failed, s.trial.err = now, f.Err
	s.aside = now.Add(s.client.opts.Aside)
}

func (s *server) isAside(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return now.Before(s.aside)
}

func (s *server) skipsTLS(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return now.Before(s.plain)
}

func (s *server) setPlain(until time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.plain = until
}
