package testkit

import (
	"crypto/tls"
	"io"
	"log"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
)

// SinkOptions say how a sink behaves. The zero value is a plain SMTP server
// with every extension that go-smtp knows.
type SinkOptions struct {
	Addr     string      // default: a free loopback address
	Hostname string      // default: sink.example
	LMTP     bool        // speak LMTP (RFC 2033)
	TLS      *tls.Config // offer STARTTLS; nil: none
	Implicit bool        // TLS from the first byte
	Users    map[string]string
	NeedAuth bool  // refuse MAIL before AUTH
	MaxSize  int64 // SIZE limit in bytes; 0: none
	HeloOnly bool  // refuse EHLO as a server without any extension does
	Minimal  bool  // offer no more than go-smtp always does: no SMTPUTF8, REQUIRETLS, DSN, BINARYMIME
	Lenient  bool  // take bare CR and LF, overlong lines and undeclared 8-bit content without failing the test

	// Accept has the last word on a message before it is kept and answered:
	// an error becomes 451, an *smtp.SMTPError what it says.
	Accept func(Received) error
}

// A Sink is an SMTP server that keeps what it is sent. It shares no code with
// ours, and is hostile in the ways a server may be: replies come in pieces,
// and a message that breaks RFC 5321's rules for lines fails the test.
//
// Addresses steer it. The local part of a recipient:
//
//	NNN        RCPT is answered with that code, such as 451@example.org
//	data-NNN   the end of the data is (with LMTP: for that recipient only)
//	drop       the connection is cut at RCPT
//	data-drop  the connection is cut at the end of the data, unanswered
//
// A sender whose local part is NNN gets that code at MAIL.
type Sink struct {
	Addr string
	opts SinkOptions

	mu       sync.Mutex
	messages []Received
	conns    int
	wire     []byte
	changed  chan struct{} // closed and replaced at each message
}

// Received is one message as it came. Raw is the data without the final dot
// and without dot-stuffing, otherwise untouched.
type Received struct {
	Conn       int // number of the connection, from 1
	Hello      string
	TLS        bool
	TLSState   tls.ConnectionState
	User       string // who authenticated
	From       string
	Size       int64  // SIZE=
	Body       string // BODY=
	UTF8       bool
	RequireTLS bool
	Ret        string
	EnvID      string
	Auth       *string // AUTH=
	To         []Recipient
	Raw        []byte
	Faults     []string // rules of RFC 5321 that Raw breaks
}

// Recipient is one accepted RCPT.
type Recipient struct {
	Address string
	Notify  []string
	ORcpt   string // "rfc822;anna@example.org"
}

// StartSink starts a sink that runs until the test ends.
func StartSink(t testing.TB, opts SinkOptions) *Sink {
	t.Helper()
	if opts.Addr == "" {
		opts.Addr = FreeAddr(t)
	}
	if opts.Hostname == "" {
		opts.Hostname = "sink.example"
	}
	l, err := net.Listen("tcp", opts.Addr)
	if err != nil {
		t.Fatal(err)
	}
	s := &Sink{Addr: opts.Addr, opts: opts, changed: make(chan struct{})}
	server := s.server()
	served := make(chan error, 1)
	go func() { served <- server.Serve(&sinkListener{Listener: l, sink: s}) }()
	t.Cleanup(func() {
		server.Close()
		l.Close() // go-smtp does not where Serve came after its Close
		if err := <-served; err != nil {
			t.Errorf("sink: %v", err)
		}
		for _, m := range s.Messages() {
			if len(m.Faults) > 0 && !opts.Lenient {
				t.Errorf("sink: the message from <%s> breaks RFC 5321: %v", m.From, m.Faults)
			}
		}
	})
	return s
}

// server sets every limit that go-smtp leaves open.
func (s *Sink) server() *smtp.Server {
	server := smtp.NewServer(smtp.BackendFunc(s.session))
	server.Domain = s.opts.Hostname
	server.LMTP = s.opts.LMTP
	server.MaxMessageBytes = s.opts.MaxSize
	server.MaxLineLength = 1 << 20 // go-smtp counts the lines of the data too
	server.MaxRecipients = 10000
	server.ReadTimeout, server.WriteTimeout = 2*time.Minute, 2*time.Minute
	server.ErrorLog = log.New(io.Discard, "", 0)
	server.AllowInsecureAuth = s.opts.TLS == nil
	if !s.opts.Implicit {
		server.TLSConfig = s.opts.TLS
	}
	if !s.opts.Minimal {
		server.EnableSMTPUTF8, server.EnableREQUIRETLS = true, true
		server.EnableBINARYMIME, server.EnableDSN = true, true
	}
	return server
}

// Messages gives what came so far.
func (s *Sink) Messages() []Received {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Received(nil), s.messages...)
}

// Wait waits until n messages came, and gives all that are there.
func (s *Sink) Wait(t testing.TB, n int) []Received {
	t.Helper()
	timer := time.NewTimer(Patience)
	defer timer.Stop()
	for {
		s.mu.Lock()
		changed, got := s.changed, len(s.messages)
		s.mu.Unlock()
		if got >= n {
			return s.Messages()
		}
		select {
		case <-changed:
		case <-timer.C:
			t.Fatalf("sink: %d messages after %v, want %d", got, Patience, n)
		}
	}
}

// Connections counts the connections accepted so far.
func (s *Sink) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conns
}

// Wire is every byte that clients sent, all connections in order of arrival:
// what a test looks through for commands and for what must not be there.
// After STARTTLS and with Implicit it is what is on the wire: ciphertext.
func (s *Sink) Wire() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]byte(nil), s.wire...)
}

func (s *Sink) add(m Received) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.messages = append(s.messages, m)
	close(s.changed)
	s.changed = make(chan struct{})
}
