package upstream

import (
	"context"
	"sync"
	"time"

	"sealpost/internal/reason"
	"sealpost/relay/reply"
)

// A Client sends messages to the first of its servers that works. It is safe
// for concurrent use.
type Client struct {
	opts    Options
	servers []*server

	ctx  context.Context // ends with Close
	stop context.CancelCauseFunc

	mu      sync.Mutex
	closed  bool
	running sync.WaitGroup // Sends and the janitor
}

// New makes a client. It connects to nothing yet; a goroutine that closes idle
// connections runs until Close.
func New(o Options) (*Client, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	c := &Client{opts: o.orDefault()}
	c.ctx, c.stop = context.WithCancelCause(context.Background())
	for _, s := range o.Servers {
		c.servers = append(c.servers, newServer(c, s))
		if s.NoVerify {
			c.opts.Log.Warn("upstream: the server's certificate is not verified", "upstream", s.Address)
		}
	}
	c.running.Go(c.sweep)
	return c, nil
}

// Send brings one message to upstream and waits for the answer. Servers are
// tried in order as long as the trouble is the server's and not the message's,
// and nobody can have taken it.
//
// Every error is a *Failure and holds a *reply.Error; there is an Outcome even
// then. When ctx ends, the connection is closed at once.
func (c *Client) Send(ctx context.Context, e Envelope, b Body) (*Outcome, error) {
	out := &Outcome{Rcpts: make([]reply.Reply, len(e.To))}
	if !c.begin() {
		return out, &Failure{Stage: StageWait, Err: errStopping}
	}
	defer c.running.Done()
	if b.content == nil {
		return out, &Failure{Stage: StageWait, Err: errNoBody}
	}
	if err := e.check(); err != nil {
		return out, &Failure{Stage: StageWait, Err: err}
	}
	ctx, cancel := c.tied(ctx)
	defer cancel()
	t := &transaction{env: &e, body: b, size: b.content.Size(), out: out}
	var failure *Failure
	for _, s := range c.candidates(time.Now()) {
		if failure = s.send(ctx, t); failure == nil {
			return out, nil
		}
		failure.Server = s.Address
		if !failure.elsewhere || failure.Taken != NotTaken || ctx.Err() != nil {
			break
		}
	}
	return out, failure
}

var errNoBody = reply.Errorf(451, reply.Enhanced{4, 3, 0}, reason.InternalError, "Internal error, try again later").Because(ErrNoClearance)

// tied is a context that ends with the client too.
func (c *Client) tied(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	untie := context.AfterFunc(c.ctx, func() { cancel(context.Cause(c.ctx)) })
	return ctx, func() {
		untie()
		cancel(nil)
	}
}

// candidates are the servers worth trying: those that are not put aside, or
// all when that would leave none.
func (c *Client) candidates(now time.Time) []*server {
	for i, s := range c.servers {
		if !s.isAside(now) {
			continue
		}
		good := append([]*server(nil), c.servers[:i]...)
		for _, s := range c.servers[i+1:] {
			if !s.isAside(now) {
				good = append(good, s)
			}
		}
		if len(good) == 0 {
			break
		}
		return good
	}
	return c.servers
}

func (c *Client) begin() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.running.Add(1)
	}
	return !c.closed
}

// Close ends transactions under way (451, shutting-down) and all connections,
// and waits until they are gone.
func (c *Client) Close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.stop(errStopping)
	c.running.Wait()
	for _, s := range c.servers {
		s.expire(time.Time{})
	}
}

// sweep is the janitor: it closes what has been idle for too long.
func (c *Client) sweep() {
	tick := time.NewTicker(c.opts.IdleTimeout/4 + 1)
	defer tick.Stop()
	for {
		select {
		case <-c.ctx.Done():
			return
		case <-tick.C:
			now := time.Now()
			for _, s := range c.servers {
				s.expire(now.Add(-c.opts.IdleTimeout))
			}
		}
	}
}
