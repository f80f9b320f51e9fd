package intake

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"sealpost/relay/reply"
)

// ErrServerClosed is what Serve returns after Shutdown.
var ErrServerClosed = errors.New("intake: server closed")

// A Server accepts connections for one listener configuration.
type Server struct {
	opts     Options
	buffers  *bufferPool
	ids      *idSource
	failures *failureCounter
	ctx      context.Context // ends when connections are closed by force
	cancel   context.CancelFunc

	mu        sync.Mutex
	listeners map[net.Listener]struct{}
	conns     map[*conn]struct{}
	clients   map[netip.Prefix]int // connections each
	closing   bool
	stop      chan struct{} // closed when Shutdown begins
	drained   chan struct{} // closed when, after that, the last connection is gone
}

// NewServer checks the options and makes a Server. The error says which
// option is wrong.
func NewServer(o Options) (*Server, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &Server{
		opts: o, buffers: newBufferPool(), ids: newIDSource(),
		failures: newFailureCounter(o.Limits.AuthFailures),
		ctx:      ctx, cancel: cancel,
		listeners: map[net.Listener]struct{}{}, conns: map[*conn]struct{}{}, clients: map[netip.Prefix]int{},
		stop: make(chan struct{}), drained: make(chan struct{}),
	}, nil
}

// Serve accepts connections from l until Shutdown, and closes l. It returns
// ErrServerClosed, or the error of a listener that is broken.
func (s *Server) Serve(l net.Listener) error {
	defer l.Close()
	if !s.addListener(l) {
		return ErrServerClosed
	}
	defer s.removeListener(l)
	delay := time.Duration(0)
	for {
		nc, err := l.Accept()
		switch {
		case err == nil:
			delay = 0
			s.accept(nc)
		case s.isClosing():
			return ErrServerClosed
		case errors.Is(err, net.ErrClosed):
			return err
		default:
			// Out of file descriptors, or a client that left at once: wait and go on.
			delay = min(max(2*delay, 5*time.Millisecond), time.Second)
			s.opts.Log.Warn("accept failed", "error", err, "retry_in", delay)
			s.pause(delay)
		}
	}
}

func (s *Server) pause(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-s.stop:
	}
}

// accept starts a connection's goroutine, or refuses it.
func (s *Server) accept(nc net.Conn) {
	c := newConn(s, nc)
	if refused := s.add(c); refused != nil {
		s.turnAway(nc, refused)
		return
	}
	s.opts.Hooks.Opened()
	go c.serve()
}

// turnAway answers without a goroutine: one reply fits into any socket buffer.
func (s *Server) turnAway(nc net.Conn, e *reply.Error) {
	s.opts.Hooks.Refused(e.Reason)
	s.opts.Log.Debug("connection refused", "client", nc.RemoteAddr().String(), "reason", string(e.Reason))
	if s.opts.TLS != TLSImplicit {
		_ = nc.SetWriteDeadline(time.Now().Add(time.Second))
		_, _ = nc.Write(appendReply(nil, e.Tagged(), false))
	}
	_ = nc.Close()
}

// Shutdown stops accepting, says 421 to clients that are idle, lets running
// transactions finish and then says 421 to these, too. When ctx ends first,
// what is left is closed by force, handlers' contexts are cancelled, and the
// error is ctx's; handlers may then still be on their way back.
func (s *Server) Shutdown(ctx context.Context) error {
	for _, c := range s.beginClosing() {
		c.wake()
	}
	select {
	case <-s.drained:
		s.cancel()
		return nil
	case <-ctx.Done():
	}
	s.cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		_ = c.raw.Close()
	}
	return ctx.Err()
}

func (s *Server) beginClosing() []*conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closing {
		s.closing = true
		close(s.stop)
		if len(s.conns) == 0 {
			close(s.drained)
		}
	}
	for l := range s.listeners {
		_ = l.Close()
	}
	conns := make([]*conn, 0, len(s.conns))
	for c := range s.conns {
		conns = append(conns, c)
	}
	return conns
}

func (s *Server) isClosing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closing
}

func (s *Server) addListener(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return false
	}
	s.listeners[l] = struct{}{}
	return true
}

func (s *Server) removeListener(l net.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listeners, l)
}

// add counts a connection in, if there is room.
func (s *Server) add(c *conn) *reply.Error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return errShutdown
	}
	if len(s.conns) >= s.opts.Limits.Connections {
		return errTooManyConns
	}
	s.conns[c] = struct{}{}
	return nil
}

// addClient counts a connection for its client's address, once that is known.
func (s *Server) addClient(c *conn) *reply.Error {
	who := clientPrefix(c.client.Remote.Addr())
	if !who.IsValid() {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if limit := s.opts.Limits.PerClient; limit > 0 && s.clients[who] >= limit {
		return errTooManyOfOne
	}
	s.clients[who]++
	c.counted = who
	return nil
}

func (s *Server) remove(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	if c.counted.IsValid() {
		if s.clients[c.counted]--; s.clients[c.counted] == 0 {
			delete(s.clients, c.counted)
		}
	}
	if s.closing && len(s.conns) == 0 {
		close(s.drained)
	}
}

// clientPrefix is what counts as one client: an IPv4 address, an IPv6 /64.
func clientPrefix(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	if a.Is6() {
		p, _ := a.Prefix(64)
		return p
	}
	p, _ := a.Prefix(32)
	return p
}

// contains reports whether one of the networks has the address.
func contains(networks []netip.Prefix, a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	for _, p := range networks {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// addrPort is the address of a TCP peer, and the zero value for others.
func addrPort(a net.Addr) netip.AddrPort {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	p := t.AddrPort()
	return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
}
