package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// A lenient server believes in every end of a line and of the data that was
// ever believed in: CR, LF or CRLF end a line, NUL is not there, and a dot with
// blanks behind it ends the data. What gets through to it as two messages would
// be two somewhere.
type lenient struct {
	addr       string
	extensions []string

	mu       sync.Mutex
	commands []string
	messages []string // as it understood them, with "\n" for every line end
	conns    map[net.Conn]struct{}
}

func startLenient(t *testing.T, extensions ...string) *lenient {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &lenient{addr: l.Addr().String(), extensions: extensions, conns: map[net.Conn]struct{}{}}
	var served sync.WaitGroup
	served.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns[c] = struct{}{}
			s.mu.Unlock()
			served.Go(func() { s.serve(c) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		s.mu.Lock()
		for c := range s.conns {
			c.Close()
		}
		s.mu.Unlock()
		served.Wait()
	})
	return s
}

// state is what was sent so far.
func (s *lenient) state() (commands, messages []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.commands...), append([]string(nil), s.messages...)
}

func (s *lenient) serve(c net.Conn) {
	defer c.Close()
	r := bufio.NewReader(c)
	say := func(line string) { fmt.Fprintf(c, "%s\r\n", line) }
	say("220 lenient.example")
	for {
		line, err := lenientLine(r)
		if err != nil {
			return
		}
		s.mu.Lock()
		s.commands = append(s.commands, line)
		s.mu.Unlock()
		words := strings.Fields(strings.ToUpper(line))
		switch {
		case len(words) == 0:
			say("500 What?")
		case words[0] == "EHLO":
			say("250-lenient.example")
			for _, e := range s.extensions {
				say("250-" + e)
			}
			say("250 8BITMIME")
		case words[0] == "DATA":
			say("354 Go on")
			s.data(r)
			say("250 Taken")
		case words[0] == "BDAT":
			size, _ := strconv.Atoi(words[1])
			chunk := make([]byte, size)
			if _, err := io.ReadFull(r, chunk); err != nil {
				return
			}
			s.take(string(chunk))
			say("250 Taken")
		case words[0] == "QUIT":
			say("221 Bye")
			return
		default:
			say("250 Fine")
		}
	}
}

func (s *lenient) data(r *bufio.Reader) {
	var text strings.Builder
	for {
		line, err := lenientLine(r)
		if err != nil {
			return
		}
		if strings.TrimRight(line, " \t") == "." {
			break
		}
		text.WriteString(strings.TrimPrefix(line, ".") + "\n")
	}
	s.take(text.String())
}

func (s *lenient) take(message string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.messages = append(s.messages, message)
}

func lenientLine(r *bufio.Reader) (string, error) {
	var line []byte
	for {
		b, err := r.ReadByte()
		if err != nil {
			return "", err
		}
		switch b {
		case 0:
		case '\n':
			return string(line), nil
		case '\r':
			if next, err := r.Peek(1); err == nil && next[0] == '\n' {
				_, _ = r.Discard(1)
			}
			return string(line), nil
		default:
			line = append(line, b)
		}
	}
}
