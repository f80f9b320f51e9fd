package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"
)

// A TLSMode says how connections to a server are encrypted.
type TLSMode int

// The modes of the configuration.
const (
	// TLSOpportunistic uses STARTTLS where it is offered, with any
	// certificate, and goes on without TLS where it is not or fails.
	TLSOpportunistic TLSMode = iota
	// TLSNone never uses TLS.
	TLSNone
	// TLSRequire wants STARTTLS and a certificate that verifies.
	TLSRequire
	// TLSImplicit wants TLS from the first byte (RFC 8314), and a certificate
	// that verifies.
	TLSImplicit
)

// Auth is how we log in (RFC 4954). Credentials go through TLS only, and only
// to a server whose certificate verifies, is on the loopback interface, or has
// Server.NoVerify. An opportunistic server must offer TLS then.
type Auth struct {
	User string
	// Password is asked at each new connection, so that a changed file is
	// seen. Its error is logged and must not hold the password.
	Password func() (string, error)
}

// A Server is one upstream server.
type Server struct {
	Address string // host:port
	TLS     TLSMode
	// TLSConfig holds roots, client certificates, the name to verify; nil: the
	// system's roots and the host of Address. It is copied.
	TLSConfig *tls.Config
	// NoVerify takes any certificate, in every mode. Whoever sits on the way
	// can then read what is sent.
	NoVerify bool
	Auth     *Auth // nil: do not log in
	// NoChunking keeps to DATA where the server offers BDAT (RFC 3030), for
	// servers whose BDAT is broken.
	NoChunking bool
}

// Timeouts bound each wait. The defaults are those of RFC 5321 section
// 4.5.3.2; a server that is slower than its timeout counts as failed.
type Timeouts struct {
	Dial    time.Duration // connecting, all addresses of the host together; 0: 30 s
	Command time.Duration // greeting, EHLO, TLS, AUTH, MAIL, RCPT: 0: 5 min each
	Data    time.Duration // the answer to DATA; 0: 2 min
	Block   time.Duration // each write of content; 0: 3 min
	End     time.Duration // the answer to the end of the data; 0: 10 min
}

// Options make a Client.
type Options struct {
	Hostname string   // our name in EHLO
	Servers  []Server // tried in order
	Timeouts Timeouts

	MaxConnections int           // at once, per server; 0: 50. A further message waits its turn
	MaxIdle        int           // connections kept open, per server; 0: MaxConnections; negative: none
	IdleTimeout    time.Duration // how long; 0: 60 s. It must be shorter than the server's
	MaxMessages    int           // per connection; 0: 500
	// Aside is how long a server that could not be connected to is passed
	// over, as long as another is left; 0: 15 s.
	Aside time.Duration

	Dial func(ctx context.Context, network, address string) (net.Conn, error) // nil: net.Dialer
	Log  *slog.Logger                                                         // nil: none
}

func (t Timeouts) orDefault() Timeouts {
	return Timeouts{
		Dial:    or(t.Dial, 30*time.Second),
		Command: or(t.Command, 5*time.Minute),
		Data:    or(t.Data, 2*time.Minute),
		Block:   or(t.Block, 3*time.Minute),
		End:     or(t.End, 10*time.Minute),
	}
}

func (o Options) orDefault() Options {
	o.Timeouts = o.Timeouts.orDefault()
	o.MaxConnections = or(o.MaxConnections, 50)
	o.MaxIdle = or(o.MaxIdle, o.MaxConnections)
	o.IdleTimeout = or(o.IdleTimeout, time.Minute)
	o.MaxMessages = or(o.MaxMessages, 500)
	o.Aside = or(o.Aside, 15*time.Second)
	if o.Dial == nil {
		o.Dial = new(net.Dialer).DialContext
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

func or[T comparable](v, fallback T) T {
	var zero T
	if v == zero {
		return fallback
	}
	return v
}

// check finds what can never work.
func (o Options) check() error {
	if !isHello(o.Hostname) {
		return fmt.Errorf("upstream: hostname %q is not a name for EHLO", o.Hostname)
	}
	if len(o.Servers) == 0 {
		return errors.New("upstream: no server")
	}
	for _, s := range o.Servers {
		if err := s.check(); err != nil {
			return fmt.Errorf("upstream: server %s: %w", s.Address, err)
		}
	}
	return nil
}

func (s Server) check() error {
	if _, _, err := net.SplitHostPort(s.Address); err != nil {
		return err
	}
	if s.TLS < TLSOpportunistic || s.TLS > TLSImplicit {
		return errors.New("no such TLS mode")
	}
	if s.TLSConfig != nil && s.TLSConfig.InsecureSkipVerify {
		return errors.New("InsecureSkipVerify is set: NoVerify is the option for that")
	}
	if s.Auth != nil && s.TLS == TLSNone {
		return errors.New("a password cannot be sent without TLS")
	}
	if s.Auth != nil && (s.Auth.User == "" || s.Auth.Password == nil) {
		return errors.New("auth needs a user and a password")
	}
	return nil
}

// isHello reports a name without anything that could end the command line.
func isHello(name string) bool {
	for i := range len(name) {
		if name[i] <= ' ' || name[i] >= 0x7f {
			return false
		}
	}
	return name != "" && len(name) <= 255
}

// host is the name that the server's certificate must have.
func (s Server) host() string {
	host, _, _ := net.SplitHostPort(s.Address)
	return host
}
