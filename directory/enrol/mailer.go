package enrol

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"time"

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

// A Mailer is a Sender that gives each answer to a mail server. One connection a
// message is enough for the few that there are.
type Mailer struct {
	Address  string // host:port
	Hostname string // for EHLO
	TLS      TLSMode
	Config   *tls.Config // nil: the system's roots and the name in Address
}

// Send hands a message over. When it returns nil, the server has taken it.
func (m *Mailer) Send(ctx context.Context, to address.Address, message []byte) (err error) {
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
	var opts *smtp.MailOptions
	if to.NeedsUTF8() {
		if ok, _ := c.Extension("SMTPUTF8"); !ok {
			return fmt.Errorf("%s does not offer SMTPUTF8", m.Address)
		}
		opts = &smtp.MailOptions{UTF8: true}
	}
	if err := c.Mail("", opts); err != nil {
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
