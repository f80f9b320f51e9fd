package ldap

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// A server is one of a directory's, with the connections that wait for work.
type server struct {
	location
	opts *Options
	door chan struct{} // taken by who logs in with a password

	mu     sync.Mutex
	idle   []*conn // the one used last comes last
	closed bool
	until  time.Time // it rests after a failure; zero: it does not
	failed error     // why it rests
}

// get takes a connection out of the pool; nil when there is none.
func (s *server) get() *conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.idle) > 0 {
		c := s.idle[len(s.idle)-1]
		s.idle = s.idle[:len(s.idle)-1]
		if c.idle.Stop() && c.usable() {
			return c
		}
		c.close()
	}
	return nil
}

// put keeps a connection for the next lookup, for a while.
func (s *server) put(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || !c.usable() || len(s.idle) >= s.opts.Connections {
		c.close()
		return
	}
	c.idle = time.AfterFunc(s.opts.IdleTimeout, func() { s.drop(c) })
	s.idle = append(s.idle, c)
}

// drop closes a connection that has waited too long.
func (s *server) drop(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.idle, c); i >= 0 {
		s.idle = slices.Delete(s.idle, i, i+1)
	}
	c.close()
}

func (s *server) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for _, c := range s.idle {
		c.close()
	}
	s.idle = nil
}

// search asks on a connection of the pool, or else on a new one. A connection
// that waited may be dead without our knowing it: then a new one is tried,
// which has half of the time.
func (s *server) search(ctx context.Context, request *ldap.SearchRequest) (*ldap.SearchResult, error) {
	if c := s.get(); c != nil {
		half, cancel := share(ctx, 2)
		result, err := s.searchOn(half, c, request)
		cancel()
		if err == nil || code(err) != 0 || errors.Is(err, ErrTooMany) || errors.Is(err, ErrTooLarge) || ctx.Err() != nil {
			return result, err
		}
	}
	c, err := s.login(ctx)
	if err != nil {
		return nil, err
	}
	return s.searchOn(ctx, c, request)
}

// login makes a new connection. Those with a password are made one after the
// other, so that a wrong one is tried once and not by everybody who waits.
func (s *server) login(ctx context.Context) (*conn, error) {
	if s.opts.Bind != Simple {
		return s.dial(ctx)
	}
	select {
	case s.door <- struct{}{}:
		defer func() { <-s.door }()
	case <-ctx.Done():
		return nil, late(ctx)
	}
	if err := s.refused(); err != nil {
		return nil, err
	}
	c, err := s.dial(ctx)
	if refusal(err) {
		s.note(err)
	}
	return c, err
}

// searchOn asks on this connection, and puts it back if it can be used again.
func (s *server) searchOn(ctx context.Context, c *conn, request *ldap.SearchRequest) (*ldap.SearchResult, error) {
	own := *request
	own.TimeLimit = seconds(ctx)
	var result *ldap.SearchResult
	err := c.do(ctx, s.opts.MaxAnswer, func() (err error) {
		result, err = c.ldap.Search(&own)
		return err
	})
	if err != nil && code(err) == 0 {
		return nil, err // closed already
	}
	s.put(c)
	return result, err
}

// seconds is the time until the deadline of ctx, rounded up.
func seconds(ctx context.Context) int {
	deadline, ok := ctx.Deadline()
	if !ok {
		return 0
	}
	return max(1, int((time.Until(deadline)+time.Second-1)/time.Second))
}

// share gives an equal share of the time that is left, when so many want one.
func share(ctx context.Context, among int) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok || among <= 1 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Until(deadline)/time.Duration(among))
}

// order gives the servers as they are to be asked: those that rest come last.
// Of a server whose rest is over, only the first lookup finds out whether it
// is back; for the others it rests a while longer.
func (c *Client) order() []*server {
	var first, last []*server
	now := time.Now()
	for _, s := range c.servers {
		s.mu.Lock()
		resting := now.Before(s.until)
		if !resting && !s.until.IsZero() {
			s.until = now.Add(c.opts.Pause)
		}
		s.mu.Unlock()
		if resting {
			last = append(last, s)
		} else {
			first = append(first, s)
		}
	}
	return append(first, last...)
}

var errNotTried = errors.New("not tried again")

// refused gives the error of a login that was refused a moment ago. Directories
// lock accounts that are tried too often with a wrong password.
func (s *server) refused() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if refusal(s.failed) && time.Now().Before(s.until) {
		return fmt.Errorf("%w (%w before %s)", s.failed, errNotTried, s.until.Format(time.TimeOnly))
	}
	return nil
}

// note remembers how it went.
func (s *server) note(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed, s.until = err, time.Time{}
	if err != nil {
		s.until = time.Now().Add(s.opts.Pause)
	}
}
