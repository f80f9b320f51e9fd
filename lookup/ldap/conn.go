package ldap

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"
)

// maxBindAnswer bounds the answers to StartTLS and bind requests.
const maxBindAnswer = 64 << 10

// A conn is one authenticated connection. One goroutine uses it at a time.
type conn struct {
	raw   net.Conn // below TLS: closing it ends everything
	guard *guard
	ldap  *ldap.Conn
	idle  *time.Timer // closes it while it waits in the pool
}

// dial connects, secures and authenticates.
func (s *server) dial(ctx context.Context) (*conn, error) {
	raw, err := new(net.Dialer).DialContext(ctx, s.network, s.address)
	if err != nil {
		return nil, err
	}
	c := &conn{raw: raw}
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	secure, err := s.secure(ctx, raw)
	if !stop() {
		err = late(ctx)
	}
	if err != nil {
		raw.Close()
		return nil, err
	}
	c.guard = newGuard(secure)
	c.ldap = ldap.NewConn(c.guard, true) // whether it is TLS only matters to StartTLS, which is done
	c.ldap.Start()
	if err := c.bind(ctx, s.opts); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// secure brings up TLS as far as the URL and the options want it.
func (s *server) secure(ctx context.Context, raw net.Conn) (net.Conn, error) {
	if s.network == "unix" || !s.implicitTLS && !s.opts.StartTLS {
		return raw, nil
	}
	if !s.implicitTLS {
		if err := startTLS(raw); err != nil {
			return nil, err
		}
	}
	config := s.opts.TLS.Clone()
	config.MinVersion = max(config.MinVersion, tls.VersionTLS12)
	if config.ServerName == "" {
		config.ServerName = s.host
	}
	secure := tls.Client(raw, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("TLS: %w", err)
	}
	return secure, nil
}

// ErrStartTLS is why a server is not asked that will not do StartTLS.
var ErrStartTLS = errors.New("the server does not take StartTLS: use ldaps:, or mend the server")

// startTLSRequest is an ExtendedRequest (RFC 4511 section 4.14.1).
const startTLSRequest = "\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037"

// startTLS asks for TLS and reads exactly one answer: what somebody on the line
// has put behind it is met by the handshake, which fails.
func startTLS(raw net.Conn) error {
	if _, err := io.WriteString(raw, startTLSRequest); err != nil {
		return err
	}
	message, err := readMessage(raw, maxBindAnswer)
	if err != nil {
		return err
	}
	packet, err := ber.DecodePacketErr(message)
	if err != nil {
		return ErrMalformed
	}
	if len(packet.Children) < 2 || packet.Children[1].Tag != ldap.ApplicationExtendedResponse {
		return ErrMalformed
	}
	if err := ldap.GetLDAPError(packet); err != nil {
		return fmt.Errorf("%w (%w)", ErrStartTLS, plain(err))
	}
	return nil
}

// bind authenticates the connection.
func (c *conn) bind(ctx context.Context, opts *Options) error {
	var request func() error
	switch opts.Bind {
	case Simple:
		password, err := opts.Password()
		if err != nil {
			return fmt.Errorf("the password: %w", err)
		}
		request = func() error { return c.ldap.Bind(opts.BindDN, password) }
	case External:
		request = c.ldap.ExternalBind
	default:
		return nil
	}
	if err := c.do(ctx, maxBindAnswer, request); err != nil {
		return fmt.Errorf("%w: %w", ErrLogin, err)
	}
	return nil
}

// do runs one request. When ctx ends, the connection is closed, and the
// request with it. The error is a *ResultError when the server gave it; after
// any other one the connection is of no use.
func (c *conn) do(ctx context.Context, answer int, request func() error) error {
	if ctx.Err() != nil {
		c.close()
		return late(ctx)
	}
	c.guard.expect(answer)
	stop := context.AfterFunc(ctx, func() { c.raw.Close() })
	err := request()
	if !stop() {
		c.close()
		return late(ctx)
	}
	c.guard.expect(0)
	if err == nil {
		return nil
	}
	if result := plain(err); result != nil {
		return result
	}
	defer c.close()
	switch problem := c.guard.problem(); {
	case errors.Is(err, ldap.ErrSizeLimitExceeded): // said by go-ldap: the others are still coming
		return ErrTooMany
	case errors.Is(problem, io.EOF):
		return errClosed
	case problem != nil:
		return problem
	}
	return fmt.Errorf("%w (%s)", ErrMalformed, tidy(err.Error()))
}

// late is the error of what ended with ctx.
func late(ctx context.Context) error { return fmt.Errorf("no answer in time: %w", ctx.Err()) }

var errClosed = errors.New("the server closed the connection")

// usable reports whether the connection can take another request, as far as
// can be seen from here.
func (c *conn) usable() bool { return !c.ldap.IsClosing() && c.guard.problem() == nil }

func (c *conn) close() {
	if c.idle != nil {
		c.idle.Stop()
	}
	c.raw.Close() // first, so that nothing in go-ldap waits for the network
	c.ldap.Close()
}
