package intake

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"testing"
	"time"
)

// A script is a connection that says what it holds, in pieces, and then is
// gone. It serves fuzzing and benchmarks, where a socket would be in the way.
type script struct {
	in    []byte
	piece int
	out   bytes.Buffer
}

func (s *script) Read(p []byte) (int, error) {
	if len(s.in) == 0 {
		return 0, io.EOF
	}
	if s.piece > 0 && s.piece < len(p) {
		p = p[:s.piece]
	}
	n := copy(p, s.in)
	s.in = s.in[n:]
	return n, nil
}

func (s *script) Write(p []byte) (int, error)      { return s.out.Write(p) }
func (s *script) Close() error                     { return nil }
func (s *script) LocalAddr() net.Addr              { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 25} }
func (s *script) RemoteAddr() net.Addr             { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9} }
func (s *script) SetDeadline(time.Time) error      { return nil }
func (s *script) SetReadDeadline(time.Time) error  { return nil }
func (s *script) SetWriteDeadline(time.Time) error { return nil }

// run plays a script against a server and gives everything it answered.
func run(t testing.TB, s *Server, in string, piece int) string {
	t.Helper()
	nc := &script{in: []byte(in), piece: piece}
	c := newConn(s, nc)
	if e := s.add(c); e != nil {
		t.Fatal(e)
	}
	c.serve()
	return nc.out.String()
}

func newTestServer(t testing.TB, change func(*Options)) (*Server, *postbox) {
	t.Helper()
	box := &postbox{}
	o := Options{Hostname: "relay.example", Handler: box}
	if change != nil {
		change(&o)
	}
	s, err := NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	return s, box
}

func message(from, body string) string {
	return fmt.Sprintf("EHLO c\r\nMAIL FROM:<%s>\r\nRCPT TO:<bert@example.org>\r\nDATA\r\n%s", from, body)
}
