package load

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
)

// A Sink is the upstream server behind a relay: it takes every message and
// keeps none, at next to no cost.
type Sink struct {
	run atomic.Pointer[run] // the run under way

	mu       sync.Mutex
	addr     string
	listener net.Listener // nil while away
	conns    map[net.Conn]bool
}

// ListenSink serves on a free port of loopback until Close.
func ListenSink() (*Sink, error) {
	s := &Sink{addr: "127.0.0.1:0", conns: map[net.Conn]bool{}}
	if err := s.Back(); err != nil {
		return nil, err
	}
	s.addr = s.listener.Addr().String()
	return s, nil
}

// Addr is HOST:PORT of the sink.
func (s *Sink) Addr() string { return s.addr }

// Back makes an absent sink listen again.
func (s *Sink) Back() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener != nil {
		return nil
	}
	l, err := net.Listen("tcp", s.addr)
	if err != nil {
		return err
	}
	s.listener = l
	go s.accept(l)
	return nil
}

// Away ends all connections and refuses new ones, as a server does that is down.
func (s *Sink) Away() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener == nil {
		return nil
	}
	err := s.listener.Close()
	s.listener = nil
	for c := range s.conns {
		err = errors.Join(err, c.Close())
	}
	clear(s.conns)
	return err
}

// Close is Away for good.
func (s *Sink) Close() error { return s.Away() }

func (s *Sink) accept(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		if !s.add(c, l) {
			c.Close()
			return
		}
		go func() {
			(&sinkConn{sink: s, conn: c, buf: make([]byte, 256<<10)}).serve()
			s.remove(c)
		}()
	}
}

// add keeps a connection, unless its listener is closed by now.
func (s *Sink) add(c net.Conn, l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener != l {
		return false
	}
	s.conns[c] = true
	return true
}

func (s *Sink) remove(c net.Conn) {
	c.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}
