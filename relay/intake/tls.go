package intake

import (
	"crypto/tls"
	"errors"
	"time"

	"sealpost/internal/reason"
	"sealpost/relay/reply"
)

var (
	errTLSAgain     = refusal(503, reply.Enhanced{5, 5, 1}, reason.ProtocolError, "TLS is on already")
	errTLSInjection = refusal(554, reply.Enhanced{5, 5, 1}, reason.ProtocolError, "Commands were sent behind STARTTLS")
	errNoTLS        = refusal(454, reply.Enhanced{4, 7, 0}, reason.InternalError, "TLS not available")
)

// mayStartTLS reports whether STARTTLS is offered now.
func (c *conn) mayStartTLS() bool {
	return (c.opts.TLS == TLSStart || c.opts.TLS == TLSRequire) && !c.secure()
}

// startTLS answers STARTTLS (RFC 3207). What was pipelined behind it came in
// the clear and would be taken for something said inside TLS: such a
// connection is closed.
func (c *conn) startTLS() {
	switch {
	case c.opts.TLS == TLSNone:
		c.refuse(errNotOffered)
	case c.secure():
		c.refuse(errTLSAgain)
	case len(c.wire.buffered()) > 0:
		_ = c.alien(errTLSInjection)
	case !c.extended():
		c.refuse(errHelloFirst)
	case c.tx != nil:
		c.refuse(errInMail)
	default:
		c.goSecure()
	}
}

func (c *conn) goSecure() {
	config := c.opts.TLSConfig()
	if config == nil {
		c.refuse(errNoTLS)
		return
	}
	c.reply(220, reply.Enhanced{2, 0, 0}, "Ready to start TLS")
	err := c.wire.flush()
	if err == nil {
		err = c.handshakeWith(config)
	}
	if err != nil {
		c.debug("TLS handshake", reason.ProtocolError, err)
		c.quit = true
		return
	}
	// RFC 3207 section 4.2: what the client said before is forgotten. What a
	// trusted proxy said of the client's address is kept: without it the client
	// would have the proxy's rights.
	c.reset()
	c.client.Hello, c.client.ESMTP, c.client.User = "", false, ""
}

func (c *conn) handshake() error {
	config := c.opts.TLSConfig()
	if config == nil {
		return errors.New("no TLS configuration")
	}
	return c.handshakeWith(config)
}

// handshakeWith makes TLS the wire, within one limit for all of its steps.
func (c *conn) handshakeWith(config *tls.Config) error {
	if err := c.beginIdle(c.opts.Timeouts.Handshake); err != nil {
		return err
	}
	defer c.endIdle()
	if err := c.wire.conn.SetWriteDeadline(time.Now().Add(c.opts.Timeouts.Handshake)); err != nil {
		return err
	}
	t := tls.Server(c.wire.conn, config)
	if err := t.Handshake(); err != nil {
		return err
	}
	c.wire.conn = t
	state := t.ConnectionState()
	c.client.TLS = &state
	return nil
}
