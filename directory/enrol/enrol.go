// Package enrol is the directory's mailbox: whoever sends a signed mail to it has
// his certificate learned, and is told in plain words what became of it.
package enrol

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emersion/go-smtp"
	"golang.org/x/net/netutil"

	"sealpost/directory/harvest"
	"sealpost/directory/store"
	"sealpost/internal/address"
)

// A Learner keeps what a signed message teaches. What it refuses is a
// *harvest.Refusal; any other error is trouble of its own, and the message is
// left with the client.
type Learner interface {
	Learn(ctx context.Context, message io.Reader) (harvest.Learned, store.Added, error)
}

// A Sender brings an answer on its way, from the null sender (RFC 3834 section
// 3.3).
type Sender interface {
	Send(ctx context.Context, from, to address.Address, message []byte) error
}

// Options say what the mailbox is.
type Options struct {
	Mailbox  address.Address // mail for it is taken, and for no other one
	Hostname string          // in the greeting, and in the Message-ID of answers
	Name     string          // whose directory it is, in answers; default: Hostname
	LMTP     bool            // speak LMTP (RFC 2033) rather than SMTP
	TLS      *tls.Config     // offer STARTTLS; nil: none
	Learner  Learner
	Sender   Sender // nil: nobody is answered
	MaxSize  int64  // bytes of a message; default 25 MiB
	// MaxConnections at once; default 100.
	MaxConnections int
	// DataTime is how long a client may take for one message; default 10 minutes.
	DataTime time.Duration
	Limits   Limits
	Log      *slog.Logger
	Clock    func() time.Time
}

func (o Options) orDefault() Options {
	if o.Name == "" {
		o.Name = o.Hostname
	}
	if o.MaxSize <= 0 {
		o.MaxSize = 25 << 20
	}
	if o.MaxConnections <= 0 {
		o.MaxConnections = 100
	}
	if o.DataTime <= 0 {
		o.DataTime = 10 * time.Minute
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	o.Limits = o.Limits.orDefault()
	return o
}

// A Server serves the mailbox. go-smtp has the wire; where it is known to be
// weak, see session.
type Server struct {
	opts   Options
	smtp   *smtp.Server
	outbox *outbox // nil without a Sender
	ctx    context.Context
	stop   context.CancelFunc
	closed atomic.Bool
	busy   sync.WaitGroup // messages being read
	stats  counters
}

// New makes a Server; Serve lets clients in.
func New(opts Options) *Server {
	opts = opts.orDefault()
	s := &Server{opts: opts}
	s.ctx, s.stop = context.WithCancel(context.Background())
	if opts.Sender != nil {
		s.outbox = newOutbox(s.ctx, opts, &s.stats)
	}
	s.smtp = smtp.NewServer(smtp.BackendFunc(s.newSession))
	s.smtp.Domain, s.smtp.LMTP, s.smtp.TLSConfig = opts.Hostname, opts.LMTP, opts.TLS
	s.smtp.ReadTimeout, s.smtp.WriteTimeout = opts.DataTime, time.Minute
	s.smtp.MaxRecipients, s.smtp.MaxLineLength = 10, maxLine
	s.smtp.EnableSMTPUTF8 = true
	s.smtp.ErrorLog = log.New(io.Discard, "", 0)
	return s
}

// maxLine bounds a line in bytes. go-smtp applies it to the message, too, where
// lines of HTML are long.
const maxLine = 64 << 10

// ErrClosed says that Close ended Serve.
var ErrClosed = errors.New("enrol: server closed")

// Serve takes connections until Close, and then gives ErrClosed.
func (s *Server) Serve(l net.Listener) error {
	err := s.smtp.Serve(listener{netutil.LimitListener(l, s.opts.MaxConnections)})
	if s.closed.Load() {
		return ErrClosed
	}
	return err
}

// Close ends all connections: a message that was not answered stays with its
// client. Answers that are on their way are given until ctx ends.
func (s *Server) Close(ctx context.Context) error {
	if s.closed.Swap(true) {
		return nil
	}
	err := s.smtp.Close()
	s.busy.Wait()
	if s.outbox != nil {
		err = errors.Join(err, s.outbox.close(ctx))
	}
	s.stop()
	return err
}

// Stats are counts since the start.
type Stats struct {
	Messages  uint64 // read to their end
	Learned   uint64 // of them
	Refused   uint64 // of them
	Answers   uint64 // that were sent
	Lost      uint64 // answers that could not be sent
	Withheld  uint64 // answers that RFC 3834 or the limits forbid
	Deferred  uint64 // messages left with the client: trouble of our own
	Malformed uint64 // transactions that broke off
}

type counters struct {
	messages, learned, refused, answers, lost, withheld, deferred, malformed atomic.Uint64
}

// Stats counts.
func (s *Server) Stats() Stats {
	c := &s.stats
	return Stats{
		Messages: c.messages.Load(), Learned: c.learned.Load(), Refused: c.refused.Load(), Answers: c.answers.Load(),
		Lost: c.lost.Load(), Withheld: c.withheld.Load(), Deferred: c.deferred.Load(), Malformed: c.malformed.Load(),
	}
}

// A listener makes connections whose end is an error: go-smtp takes a BDAT that
// was cut off for a whole message otherwise.
type listener struct{ net.Listener }

// Accept waits for a connection.
func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return conn{c}, nil
}

type conn struct{ net.Conn }

// Read turns the end into an error.
func (c conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}
