package testkit

import (
	"errors"
	"io"
	"strconv"
	"strings"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// sinkSession is one connection's dialogue. It implements smtp.LMTPSession and
// smtp.AuthSession.
type sinkSession struct {
	sink *Sink
	conn *smtp.Conn
	user string
	msg  Received
}

func (s *Sink) session(c *smtp.Conn) (smtp.Session, error) {
	return &sinkSession{sink: s, conn: c}, nil
}

func (s *sinkSession) AuthMechanisms() []string {
	if s.sink.opts.Users == nil {
		return nil
	}
	return []string{sasl.Plain}
}

func (s *sinkSession) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		want, ok := s.sink.opts.Users[user]
		if !ok || want != password {
			return smtp.ErrAuthFailed
		}
		s.user = user
		return nil
	}), nil
}

func (s *sinkSession) Mail(from string, o *smtp.MailOptions) error {
	if s.sink.opts.NeedAuth && s.user == "" {
		return &smtp.SMTPError{Code: 530, EnhancedCode: smtp.EnhancedCode{5, 7, 0}, Message: "Authentication required"}
	}
	if err := steered(from, ""); err != nil {
		return err
	}
	s.msg = Received{
		Conn: tapOf(s.conn.Conn()).number, Hello: s.conn.Hostname(), User: s.user, From: from,
		Size: o.Size, Body: string(o.Body), UTF8: o.UTF8, RequireTLS: o.RequireTLS,
		Ret: string(o.Return), EnvID: o.EnvelopeID, Auth: o.Auth,
	}
	s.msg.TLSState, s.msg.TLS = s.conn.TLSConnectionState()
	return nil
}

func (s *sinkSession) Rcpt(to string, o *smtp.RcptOptions) error {
	if strings.HasPrefix(to, "drop@") {
		return s.conn.Conn().Close()
	}
	if err := steered(to, ""); err != nil {
		return err
	}
	r := Recipient{Address: to}
	for _, n := range o.Notify {
		r.Notify = append(r.Notify, string(n))
	}
	if o.OriginalRecipient != "" {
		r.ORcpt = strings.ToLower(string(o.OriginalRecipientType)) + ";" + o.OriginalRecipient
	}
	s.msg.To = append(s.msg.To, r)
	return nil
}

func (s *sinkSession) Data(r io.Reader) error {
	return s.take(r, s.msg.To, func(string, error) {})
}

func (s *sinkSession) LMTPData(r io.Reader, status smtp.StatusCollector) error {
	return s.take(r, nil, status.SetStatus)
}

// take reads the message and keeps it for the recipients that do not refuse.
// A refusal by one of all refuses the message; every recipient of each gets
// its own answer.
func (s *sinkSession) take(r io.Reader, all []Recipient, each func(to string, err error)) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	m := s.msg
	m.Raw, m.To = raw, nil
	m.Faults = faults(raw, m.Body)
	for _, to := range s.msg.To {
		if strings.HasPrefix(to.Address, "data-drop@") {
			return s.conn.Conn().Close()
		}
		err := steered(to.Address, "data-")
		if err != nil && all != nil {
			return err
		}
		if err != nil {
			each(to.Address, err)
			continue
		}
		m.To = append(m.To, to)
	}
	if len(m.To) == 0 {
		return nil
	}
	if s.sink.opts.Accept != nil {
		if err := s.sink.opts.Accept(m); err != nil {
			return asReply(err)
		}
	}
	s.sink.add(m)
	return nil
}

// asReply makes any error temporary that is no reply; go-smtp would answer 554.
func asReply(err error) error {
	var reply *smtp.SMTPError
	if errors.As(err, &reply) {
		return reply
	}
	return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "Not accepted"}
}

func (s *sinkSession) Reset()        { s.msg = Received{} }
func (s *sinkSession) Logout() error { return nil }

// steered gives the reply that the address's local part, behind the prefix,
// asks for.
func steered(address, prefix string) error {
	local, _, _ := strings.Cut(address, "@")
	digits, ok := strings.CutPrefix(local, prefix)
	code, err := strconv.Atoi(digits)
	if !ok || err != nil || code < 400 || code > 599 {
		return nil
	}
	return &smtp.SMTPError{
		Code: code, EnhancedCode: smtp.EnhancedCode{code / 100, 7, 42},
		Message: "Steered by <" + address + ">",
	}
}

// faults finds what RFC 5321 (sections 2.3.8, 4.5.3.1.6) and RFC 6152 forbid
// in a message that was sent with BODY=body.
func faults(raw []byte, body string) []string {
	if body == string(smtp.BodyBinaryMIME) {
		return nil
	}
	bare, high, long, start := false, false, false, 0
	for i, c := range raw {
		switch {
		case c == '\n':
			bare = bare || i == 0 || raw[i-1] != '\r'
			long = long || i-start > 999
			start = i + 1
		case c == '\r':
			bare = bare || i+1 == len(raw) || raw[i+1] != '\n'
		case c >= 0x80:
			high = true
		}
	}
	var found []string
	if bare {
		found = append(found, "bare CR or LF")
	}
	if long {
		found = append(found, "a line of more than 998 bytes")
	}
	if high && body != string(smtp.Body8BitMIME) {
		found = append(found, "8-bit content without BODY=8BITMIME")
	}
	return found
}
