package smimea

import (
	"net"
	"sync"
	"time"
)

// idleFor is how long a connection waits for its next question. Servers close
// idle ones after some ten seconds (RFC 7766 section 6.2.3).
const idleFor = 8 * time.Second

// A pool keeps the idle connections to one resolver.
type pool struct {
	most   int
	mu     sync.Mutex
	idle   []idleConn // the one used last stands last
	closed bool
}

type idleConn struct {
	net.Conn
	timer *time.Timer // closes it
}

// take gives the connection that was used last, or nil.
func (p *pool) take() net.Conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle) == 0 {
		return nil
	}
	last := p.idle[len(p.idle)-1]
	p.idle = p.idle[:len(p.idle)-1]
	last.timer.Stop()
	return last.Conn
}

// put keeps a connection for a while, or closes it.
func (p *pool) put(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.idle) >= p.most {
		c.Close()
		return
	}
	p.idle = append(p.idle, idleConn{c, time.AfterFunc(idleFor, func() { p.drop(c) })})
}

// drop closes a connection that nobody has taken.
func (p *pool) drop(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.idle {
		if p.idle[i].Conn == c {
			p.idle = append(p.idle[:i], p.idle[i+1:]...)
			c.Close()
			return
		}
	}
}

func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, c := range p.idle {
		c.timer.Stop()
		c.Close()
	}
	p.idle = nil
}
