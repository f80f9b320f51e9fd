// Package mailer hands the directory's own letters to a mail server: answers to
// signed mail, and notices to people for whom a key was made.
package mailer

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"sealpost/internal/address"
)

// A TLSMode says how a Mailer secures its connection.
type TLSMode int

// The modes.
const (
	TLSNone     TLSMode = iota
	TLSRequire          // STARTTLS, or no mail
	TLSImplicit         // from the first byte
)

// A Mailer gives each message to a mail server. One connection a message is
// enough for the few that there are.
type Mailer struct {
	Address  string // host:port
	Hostname string // for EHLO
	TLS      TLSMode
	Config   *tls.Config // nil: the system's roots and the name in Address
	Username string      // for AUTH PLAIN (RFC 4954); empty: none
	Password string
}

// ErrAuth says that the server could not be told who we are. The password is
// sent over TLS only.
var ErrAuth = errors.New("the mail server offers no AUTH PLAIN over TLS")

// Send hands a message over; from may be the null sender. When it returns nil,
// the server has taken it. An answer of the server that is an error is a
// *smtp.SMTPError.
func (m *Mailer) Send(ctx context.Context, from, to address.Address, message []byte) error {
	return m.with(ctx, func(c *smtp.Client) error { return m.transfer(c, from, to, message) })
}

// Probe connects and says who we are, and sends nothing.
func (m *Mailer) Probe(ctx context.Context) error {
	return m.with(ctx, func(c *smtp.Client) error { return c.Quit() })
}

// with connects, secures the connection, says who we are, and runs f.
func (m *Mailer) with(ctx context.Context, f func(*smtp.Client) error) error {
	conn, err := (&net.Dialer{Timeout: 30 * time.Second}).DialContext(ctx, "tcp", m.Address)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	c, err := m.client(conn)
	if err != nil {
		return err
	}
	c.CommandTimeout, c.SubmissionTimeout = time.Minute, 2*time.Minute
	if err := c.Hello(m.Hostname); err != nil {
		return err
	}
	if err := m.auth(c); err != nil {
		return err
	}
	return f(c)
}

// auth says who we are.
func (m *Mailer) auth(c *smtp.Client) error {
	if m.Username == "" {
		return nil
	}
	if m.TLS == TLSNone || !c.SupportsAuth(sasl.Plain) {
		return fmt.Errorf("%s: %w", m.Address, ErrAuth)
	}
	return c.Auth(sasl.NewPlainClient("", m.Username, m.Password))
}

func (m *Mailer) transfer(c *smtp.Client, from, to address.Address, message []byte) error {
	var opts *smtp.MailOptions
	if from.NeedsUTF8() || to.NeedsUTF8() {
		if ok, _ := c.Extension("SMTPUTF8"); !ok {
			return fmt.Errorf("%s does not offer SMTPUTF8", m.Address)
		}
		opts = &smtp.MailOptions{UTF8: true}
	}
	if err := c.Mail(envelope(from), opts); err != nil {
		return err
	}
	if err := c.Rcpt(to.String(), nil); err != nil {
		return err
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := bytes.NewReader(message).WriteTo(w); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	_ = c.Quit() // the message is theirs by now
	return nil
}

func envelope(a address.Address) string {
	if a.IsNull() {
		return ""
	}
	return a.String()
}

func (m *Mailer) client(conn net.Conn) (*smtp.Client, error) {
	config := m.Config.Clone()
	if config == nil {
		config = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if config.ServerName == "" {
		host, _, err := net.SplitHostPort(m.Address)
		if err != nil {
			return nil, err
		}
		config.ServerName = host
	}
	switch m.TLS {
	case TLSRequire:
		return smtp.NewClientStartTLS(conn, config)
	case TLSImplicit:
		return smtp.NewClient(tls.Client(conn, config)), nil
	}
	return smtp.NewClient(conn), nil
}
