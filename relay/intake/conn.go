package intake

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"sealpost/internal/reason"
	"sealpost/relay/reply"
)

// A conn is one connection: its goroutine reads commands and, through the
// handler's Data, messages.
type conn struct {
	server  *Server
	opts    *Options
	raw     net.Conn     // as accepted; what Shutdown may touch
	peer    netip.Addr   // who speaks here, as the connection or its PROXY header says; XCLIENT does not change it
	counted netip.Prefix // who this connection counts for
	wire    wire
	client  Client
	dsn     bool // DSN was offered at the greeting

	tx     Transaction // nil outside of a mail transaction
	mail   Mail
	rcpts  int  // accepted
	tried  bool // a RCPT was seen, accepted or not
	failed *failedChunks
	meter  *meter   // while a message comes in
	unread *command // read between chunks, to be executed after them

	errors       int
	authFailures int
	quit         bool // close after this command
	linger       bool // the client may still be sending

	stopping atomic.Bool
	mu       sync.Mutex
	idle     bool // waits for a client that has no transaction running
}

func newConn(s *Server, nc net.Conn) *conn {
	c := &conn{server: s, opts: &s.opts, raw: nc}
	c.wire.init(nc, s.buffers, s.opts.Timeouts.Write)
	c.client = Client{
		ID: s.ids.next(), Listener: s.opts.Name, LMTP: s.opts.Protocol == LMTP,
		Remote: addrPort(nc.RemoteAddr()), Local: nc.LocalAddr(),
	}
	c.peer = c.client.Remote.Addr()
	return c
}

func (c *conn) serve() {
	defer c.server.opts.Hooks.Closed()
	defer c.server.remove(c)
	defer c.close()
	defer c.endTransaction()
	defer c.survive()
	if !c.open() {
		return
	}
	for !c.quit {
		cmd, err := c.readCommand()
		if err != nil {
			c.hangUp(err)
			return
		}
		c.execute(cmd)
	}
}

// open brings a connection to its greeting: PROXY header, limits, TLS,
// silence.
func (c *conn) open() bool {
	if err := c.readProxyHeader(); err != nil {
		c.debug("PROXY header", reason.ProtocolError, err)
		return false
	}
	refused := c.server.addClient(c)
	if refused != nil && c.opts.TLS == TLSImplicit {
		c.count(refused)
		return false
	}
	if c.opts.TLS == TLSImplicit {
		if err := c.handshake(); err != nil {
			c.debug("TLS handshake", reason.ProtocolError, err)
			return false
		}
	}
	if refused == nil && c.talksEarly() {
		refused = errEarlyTalker
	}
	if refused != nil {
		c.refuse(refused)
		c.quit, c.linger = true, true
		return false
	}
	c.greet()
	return true
}

func (c *conn) greet() {
	proto := " ESMTP Sealpost\r\n"
	if c.client.LMTP {
		proto = " LMTP Sealpost\r\n"
	}
	c.wire.out = append(append(append(c.wire.out, "220 "...), c.opts.Hostname...), proto...)
}

// survive keeps a panic of the handler from taking the process along. What
// was panicked with may be a piece of a message, so only runtime errors, which
// hold no data, are logged as they are.
func (c *conn) survive() {
	p := recover()
	if p == nil {
		return
	}
	attrs := []any{"id", c.client.ID, "reason", string(reason.InternalError), "stack", string(debug.Stack())}
	if e, ok := p.(runtime.Error); ok {
		attrs = append(attrs, "panic", e.Error())
	}
	c.opts.Log.Error("panic in a connection", attrs...)
	c.quit, c.linger = true, true
	c.refuse(errPanic)
}

// close sends what waits and closes. A client that is still sending would
// lose the last reply to a reset, so a little of it is read away.
func (c *conn) close() {
	if c.wire.flush() == nil && (c.linger || c.unheard()) {
		c.lingerAWhile()
	}
	_ = c.wire.conn.Close()
	c.wire.release()
}

// unheard reports that something has come which nobody will read.
func (c *conn) unheard() bool {
	t, ok := c.raw.(*net.TCPConn)
	return ok && t.SetReadDeadline(time.Time{}) == nil && hasInput(t)
}

const (
	lingerTime   = 500 * time.Millisecond
	lingerOctets = 1 << 20
)

func (c *conn) lingerAWhile() {
	stream := c.raw
	if c.secure() {
		stream = c.wire.conn // says close_notify
	}
	half, ok := stream.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil || c.wire.conn.SetReadDeadline(time.Now().Add(lingerTime)) != nil {
		return
	}
	_, _ = io.CopyN(io.Discard, readerOnly{c.wire.conn}, lingerOctets)
}

// readerOnly hides WriteTo, which would not heed the limit of CopyN.
type readerOnly struct{ io.Reader }

// hangUp ends a connection after an error of reading.
func (c *conn) hangUp(err error) {
	var e *reply.Error
	if errors.As(err, &e) {
		c.refuse(e)
		return
	}
	c.debug("connection lost", reason.ClientGone, err)
}

// endTransaction closes the handler's transaction, if there is one.
func (c *conn) endTransaction() {
	tx := c.tx
	c.tx, c.mail, c.rcpts, c.tried = nil, Mail{}, 0, false
	c.client.XForward, c.client.utf8 = Attributes{}, false
	if tx != nil {
		defer c.survive()
		tx.Close()
	}
}

// wake makes an idle connection see that the server stops.
func (c *conn) wake() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopping.Store(true)
	if c.idle {
		_ = c.raw.SetReadDeadline(time.Unix(1, 0))
	}
}

// beginIdle says that the connection waits for the client, with a new deadline
// unless limit is 0. The order of this and wake is what the lock is for: no
// wake may be overwritten.
func (c *conn) beginIdle(limit time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tx == nil && c.stopping.Load() {
		return errShutdown
	}
	c.idle = c.tx == nil
	if limit == 0 {
		return nil
	}
	return c.wire.conn.SetReadDeadline(time.Now().Add(limit))
}

func (c *conn) endIdle() {
	c.mu.Lock()
	c.idle = false
	c.mu.Unlock()
}

// secure reports TLS.
func (c *conn) secure() bool { return c.client.TLS != nil }
