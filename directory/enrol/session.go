package enrol

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-smtp"

	"sealpost/directory/harvest"
	"sealpost/directory/store"
	"sealpost/internal/address"
	"sealpost/smime"
)

// A session is one connection. mu guards against go-smtp calling Reset or Mail
// while Data still runs (RSET between chunks).
type session struct {
	server *Server
	hangUp func() // ends the connection, whatever layers are on it

	mu   sync.Mutex
	from address.Address // envelope sender; null for <>
}

func (s *Server) newSession(c *smtp.Conn) (smtp.Session, error) {
	raw := c.Conn()
	return &session{server: s, hangUp: func() { raw.Close() }}, nil
}

func refusal(code int, enhanced smtp.EnhancedCode, format string, args ...any) error {
	return &smtp.SMTPError{Code: code, EnhancedCode: enhanced, Message: fmt.Sprintf(format, args...)}
}

// Mail takes a sender that can be read; go-smtp has taken quotes off, which
// address.Parse then refuses where they mattered.
func (s *session) Mail(from string, opts *smtp.MailOptions) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if opts != nil && opts.Size > s.server.opts.MaxSize {
		return s.server.tooLarge()
	}
	s.from = address.Address{}
	if from == "" {
		return nil
	}
	a, err := address.Parse(from)
	if err != nil {
		return refusal(553, smtp.EnhancedCode{5, 1, 7}, "The sender's address is not one that can be answered")
	}
	s.from = a
	return nil
}

// Rcpt takes the one mailbox, in any case of letters.
func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	a, err := address.Parse(to)
	if err == nil && strings.EqualFold(a.Key(), s.server.opts.Mailbox.Key()) {
		return nil
	}
	return refusal(550, smtp.EnhancedCode{5, 7, 1}, "Only mail for %s is taken here", s.server.opts.Mailbox)
}

// Data reads a message to its end, learns from it and has its sender answered.
// What went wrong while reading ends the connection: go-smtp would take the rest
// of the message for commands, and after a RSET between chunks could give the
// next message the verdict of this one.
func (s *session) Data(r io.Reader) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.server.busy.Add(1)
	defer s.server.busy.Done()
	m := &incoming{src: r, left: s.server.opts.MaxSize}
	ctx, cancel := context.WithTimeout(s.server.ctx, s.server.opts.DataTime+time.Minute)
	defer cancel()
	learned, added, err := s.server.opts.Learner.Learn(ctx, m)
	if m.err == nil {
		_, _ = io.Copy(io.Discard, m) // notes its error
	}
	if m.err != nil && !errors.Is(m.err, errTooLarge) {
		s.server.stats.malformed.Add(1)
		s.hangUp()
		return refusal(451, smtp.EnhancedCode{4, 4, 2}, "The message did not arrive whole")
	}
	if m.err != nil {
		if _, err := io.Copy(io.Discard, r); err != nil {
			s.hangUp()
		}
		return s.server.tooLarge()
	}
	return s.server.settle(s.from, m.head.Bytes(), learned, added, err)
}

// settle counts, logs, and puts the answer on its way.
func (s *Server) settle(from address.Address, head []byte, learned harvest.Learned, added store.Added, err error) error {
	var no *harvest.Refusal
	if err != nil && !errors.As(err, &no) {
		s.stats.deferred.Add(1)
		s.opts.Log.Error("a message could not be learned from, and stays with the client", "error", err)
		return refusal(451, smtp.EnhancedCode{4, 3, 0}, "The directory cannot learn right now, try again later")
	}
	s.stats.messages.Add(1)
	text := s.letterLearned(learned, added)
	if no != nil {
		s.stats.refused.Add(1)
		s.opts.Log.Info("nothing learned from a message", "reason", string(no.Reason), "why", no.Why)
		text = s.letterRefused(no)
	} else {
		s.stats.learned.Add(1)
		s.opts.Log.Info("certificate learned", "address", learned.Address.String(), "verdict", learned.Verdict, "status", string(added.Status), "known", added.Known)
	}
	s.answer(from, head, text)
	return nil
}

func (s *Server) tooLarge() error {
	return refusal(552, smtp.EnhancedCode{5, 3, 4}, "Messages of up to %d bytes are taken here; a signed one without attachment is enough", s.opts.MaxSize)
}

// answer sends a letter to the envelope sender, if that is allowed.
func (s *Server) answer(from address.Address, head []byte, text letter) {
	if s.outbox == nil {
		return
	}
	var header *smime.Header
	if m, err := smime.ReadMessage(bytes.NewReader(head), smime.Limits{}); err == nil {
		header = m.Header
	}
	if why := silence(from, s.opts.Mailbox, header); why != "" {
		s.stats.withheld.Add(1)
		s.opts.Log.Info("the sender is not answered", "because", why)
		return
	}
	s.outbox.put(from, s.compose(from, header, text))
}

// Reset forgets the transaction, once Data has ended.
func (s *session) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.from = address.Address{}
}

// Logout has nothing to do.
func (s *session) Logout() error { return nil }

// maxHead is how much of a message is kept for its header.
const maxHead = 128 << 10

var errTooLarge = errors.New("enrol: message too large")

// incoming is a message that is read: it keeps the beginning, and how reading
// ended if that was not well.
type incoming struct {
	src  io.Reader
	left int64
	head bytes.Buffer
	err  error // but io.EOF
}

// Read reads on.
func (m *incoming) Read(p []byte) (int, error) {
	if m.err != nil {
		return 0, m.err
	}
	n, err := m.src.Read(p)
	m.head.Write(p[:min(n, maxHead-m.head.Len())])
	if m.left -= int64(n); m.left < 0 {
		err = errTooLarge
	}
	if err != nil && err != io.EOF {
		m.err = err
	}
	return n, err
}
