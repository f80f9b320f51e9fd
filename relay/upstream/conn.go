package upstream

import (
	"bufio"
	"context"
	"net"
	"time"

	"sealpost/relay/reply"
)

// A conn is one connection to a server, used by one goroutine at a time; only
// abort may come from another.
type conn struct {
	server *server
	raw    net.Conn // the socket
	nc     net.Conn // raw, or TLS on it
	r      *replyReader
	w      *bufio.Writer // onto the conn itself, which sets deadlines

	ext      extensions
	remote   string // address and port
	tls      bool
	tlsName  string // protocol and cipher suite
	verified bool   // the certificate is good for the server's name

	messages  int       // transactions begun
	idleSince time.Time // while in the pool
	spoiled   bool      // the dialog's state is uncertain: not to be used again
	writeErr  error     // the first one
	peek      func() bool

	buf    []byte // for building commands
	steps  []step
	outlet outlet
}

// writeSize is the size of the buffer that gathers commands, small contents and
// the ends of large ones. Content comes in larger blocks, which bypass it: they
// are not copied once more.
const writeSize = 16 << 10

// lastWords is how long a reply is waited for on a connection that can no
// longer be written to: it may say why.
const lastWords = 5 * time.Second

func newConn(s *server, raw net.Conn) *conn {
	c := &conn{server: s, raw: raw, nc: raw, remote: raw.RemoteAddr().String(), peek: peeker(raw)}
	c.r = newReplyReader(raw)
	c.w = bufio.NewWriterSize((*deadlineWriter)(c), writeSize)
	return c
}

// A deadlineWriter is a conn as the target of its own buffer.
type deadlineWriter conn

// Write writes with the timeout of one block.
func (w *deadlineWriter) Write(p []byte) (int, error) {
	err := w.nc.SetWriteDeadline(time.Now().Add(w.server.timeouts().Block))
	n := 0
	if err == nil {
		n, err = w.nc.Write(p)
	}
	if err != nil {
		w.spoiled, w.writeErr = true, err
	}
	return n, err
}

// reply reads one reply. After a failed write it waits only for what may be
// there already.
func (c *conn) reply(timeout time.Duration) (reply.Reply, error) {
	if c.writeErr != nil {
		timeout = min(timeout, lastWords)
	}
	if err := c.nc.SetReadDeadline(time.Now().Add(timeout)); err != nil {
		return reply.Reply{}, err
	}
	r, err := c.r.read()
	if err != nil || r.Code == 421 {
		c.spoiled = true
	}
	return r, err
}

// command sends one command and reads its reply. A write that fails shows as
// the failure of the read behind it, unless the server had a last word.
func (c *conn) command(line string) (reply.Reply, error) {
	c.w.WriteString(line)
	c.w.WriteString("\r\n")
	c.w.Flush()
	return c.reply(c.server.timeouts().Command)
}

// pending reports whether something is there to be read, or the connection is
// closed: on a connection whose replies have all been read, neither is good.
func (c *conn) pending() bool { return c.r.br.Buffered() > 0 || c.peek() }

// abort ends the connection at once, and visibly as a failure: with a reset
// where there is one to be had. A server must not take the end of the stream
// for the end of the message, which some do after BDAT.
func (c *conn) abort() {
	if t, ok := c.raw.(*net.TCPConn); ok {
		t.SetLinger(0)
	}
	c.raw.Close()
}

// quit ends an idle connection in good order, without waiting for the answer.
func (c *conn) quit() {
	c.nc.SetWriteDeadline(time.Now().Add(time.Second))
	if _, err := c.nc.Write([]byte("QUIT\r\n")); err != nil {
		c.abort()
		return
	}
	c.nc.Close()
}

// guard runs f, and closes the connection when ctx ends before it does.
func (c *conn) guard(ctx context.Context, f func() *Failure) *Failure {
	stop := context.AfterFunc(ctx, c.abort)
	failure := f()
	if stop() {
		return failure
	}
	c.spoiled = true
	if failure != nil {
		return cancelled(ctx, failure.Stage, failure.Taken)
	}
	return nil
}

// reusable reports whether another message may follow.
func (c *conn) reusable() bool {
	limit := c.server.client.opts.MaxMessages
	if m := c.ext.maxMessages; m > 0 {
		limit = min(limit, m)
	}
	return !c.spoiled && c.messages < limit && c.r.br.Buffered() == 0
}
