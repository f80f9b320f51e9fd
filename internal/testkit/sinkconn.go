package testkit

import (
	"bytes"
	"crypto/tls"
	"net"
)

// sinkListener numbers and taps the connections of a sink.
type sinkListener struct {
	net.Listener
	sink *Sink
}

func (l *sinkListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	s := l.sink
	s.mu.Lock()
	s.conns++
	tapped := &sinkConn{Conn: c, sink: s, number: s.conns}
	s.mu.Unlock()
	if s.opts.Implicit {
		return tls.Server(tapped, s.opts.TLS), nil
	}
	return tapped, nil
}

// sinkConn records what the client sends, and sends replies in two pieces:
// TCP keeps no boundaries, and a client that relies on them is wrong.
type sinkConn struct {
	net.Conn
	sink   *Sink
	number int
}

func (c *sinkConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.sink.mu.Lock()
	c.sink.wire = append(c.sink.wire, p[:n]...)
	c.sink.mu.Unlock()
	if c.sink.opts.HeloOnly && n >= 4 && bytes.EqualFold(p[:4], []byte("EHLO")) {
		copy(p, "XEHL") // go-smtp cannot be told to refuse EHLO; it refuses this
	}
	return n, err
}

func (c *sinkConn) Write(p []byte) (int, error) {
	if len(p) < 2 {
		return c.Conn.Write(p)
	}
	n, err := c.Conn.Write(p[:1])
	if err != nil {
		return n, err
	}
	m, err := c.Conn.Write(p[1:])
	return n + m, err
}

// tapOf finds our connection below go-smtp's.
func tapOf(c net.Conn) *sinkConn {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	return c.(*sinkConn)
}
