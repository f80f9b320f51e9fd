package upstream

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"sealpost/relay/reply"
)

// plainFor is how long an opportunistic server whose TLS failed is talked to
// without it.
const plainFor = 5 * time.Minute

// connect opens a connection that is ready for MAIL. Under opportunistic TLS a
// failed handshake costs the connection; a second one goes without.
func (s *server) connect(ctx context.Context) (*conn, *Failure) {
	c, f := s.open(ctx, !s.skipsTLS(time.Now()))
	if f == nil || !f.handshake || s.TLS != TLSOpportunistic || s.Auth != nil || ctx.Err() != nil {
		return c, f
	}
	s.client.opts.Log.Warn("upstream: STARTTLS failed, going on without TLS",
		"upstream", s.Address, "for", plainFor.String(), "error", f.Err.Cause)
	s.setPlain(time.Now().Add(plainFor))
	return s.open(ctx, false)
}

// open dials and brings the session to where MAIL may follow.
func (s *server) open(ctx context.Context, startTLS bool) (*conn, *Failure) {
	nc, f := s.dial(ctx)
	if f != nil {
		return nil, f
	}
	c := newConn(s, nc)
	f = c.guard(ctx, func() *Failure { return c.start(startTLS) })
	if f == nil && ctx.Err() != nil {
		f = cancelled(ctx, StageConnect, NotTaken)
	}
	if f != nil {
		c.abort()
		return nil, f
	}
	return c, nil
}

func (s *server) dial(ctx context.Context) (net.Conn, *Failure) {
	dialing, cancel := context.WithTimeout(ctx, s.timeouts().Dial)
	defer cancel()
	nc, err := s.client.opts.Dial(dialing, "tcp", s.Address)
	switch {
	case err == nil:
		return nc, nil
	case ctx.Err() != nil:
		return nil, cancelled(ctx, StageConnect, NotTaken)
	}
	return nil, broken(StageConnect, err)
}

// start is the dialog before the first MAIL.
func (c *conn) start(startTLS bool) *Failure {
	if c.server.TLS == TLSImplicit {
		if f := c.handshake(); f != nil {
			return f
		}
	}
	r, err := c.reply(c.server.timeouts().Command)
	switch {
	case err != nil:
		return broken(StageGreeting, err)
	case r.Code != 220:
		return notServing(StageGreeting, r)
	}
	if f := c.hello(); f != nil {
		return f
	}
	if startTLS && (c.server.TLS == TLSOpportunistic || c.server.TLS == TLSRequire) {
		if f := c.startTLS(); f != nil {
			return f
		}
	}
	return c.login()
}

// hello says EHLO, and HELO to a server that does not know EHLO (RFC 5321
// section 3.2).
func (c *conn) hello() *Failure {
	c.ext = extensions{}
	name := c.server.client.opts.Hostname
	r, err := c.command("EHLO " + name)
	if err == nil && r.Permanent() {
		r, err = c.command("HELO " + name)
	} else if err == nil && r.Code == 250 {
		c.ext = parseExtensions(r.Text)
	}
	switch {
	case err != nil:
		return broken(StageHello, err)
	case r.Code != 250:
		return notServing(StageHello, r)
	}
	return nil
}

// notServing is a refusal of us, not of a message. A refusal for good (554 in
// the greeting) is temporary for the mail: the operator can mend it.
func notServing(stage Stage, r reply.Reply) *Failure {
	if r.Positive() {
		return session(stage, errProtocol, fmt.Errorf("%w: %v", errReplyUnfit, causeOf(r)))
	}
	return session(stage, errNotServing, causeOf(r))
}

// startTLS does STARTTLS and says EHLO again (RFC 3207). Under opportunistic
// TLS a server that does not offer it, or refuses it in good order, is talked
// to without.
func (c *conn) startTLS() *Failure {
	may := c.server.TLS == TLSOpportunistic && c.server.Auth == nil
	if !c.ext.startTLS {
		if may {
			return nil
		}
		return session(StageTLS, errTLS, errors.New("STARTTLS is not offered"))
	}
	r, err := c.command("STARTTLS")
	switch {
	case err != nil:
		return broken(StageTLS, err)
	case r.Code != 220 && may && !c.spoiled:
		return nil
	case r.Code != 220:
		return session(StageTLS, errTLS, causeOf(r))
	case c.r.br.Buffered() > 0:
		// Sent in the clear, to be read as if it had come through TLS.
		return session(StageTLS, errProtocol, errReplyTooSoon)
	}
	if f := c.handshake(); f != nil {
		return f
	}
	return c.hello()
}
