package intake

import (
	"strconv"

	"sealpost/relay/reply"
)

const maxHello = 255 // octets, as for a domain (RFC 5321 section 4.5.3.1.2)

// hello answers EHLO, HELO and, on LMTP, LHLO (RFC 2033 section 4.1).
func (c *conn) hello(cmd command) {
	if c.client.LMTP != (cmd.verb == "LHLO") {
		c.refuse(errUnknown)
		return
	}
	if !isHello(cmd.args) {
		c.refuse(errHelloArgument)
		return
	}
	c.reset()
	c.client.Hello, c.client.ESMTP = cmd.args, cmd.verb != "HELO"
	if !c.client.ESMTP {
		c.wire.out = append(append(append(c.wire.out, "250 "...), c.opts.Hostname...), "\r\n"...)
		return
	}
	c.wire.out = c.appendExtensions(c.wire.out)
}

// isHello accepts what clients really say, which is often no host name.
func isHello(s string) bool {
	if s == "" || len(s) > maxHello {
		return false
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// appendExtensions writes the answer to EHLO. What a client may not use now is
// not named.
func (c *conn) appendExtensions(b []byte) []byte {
	line := func(words ...string) {
		b = append(b, "250-"...)
		for _, w := range words {
			b = append(b, w...)
		}
		b = append(b, '\r', '\n')
	}
	without := c.opts.Without
	line(c.opts.Hostname)
	line("PIPELINING")
	line("SIZE ", strconv.FormatInt(c.opts.Limits.MessageSize, 10))
	if c.mayStartTLS() {
		line("STARTTLS")
	}
	if c.mayAuth() {
		line("AUTH PLAIN LOGIN")
	}
	line("8BITMIME")
	if !without.UTF8 {
		line("SMTPUTF8")
	}
	if c.dsn = c.offersDSN(); c.dsn {
		line("DSN")
	}
	if !without.Chunking {
		line("CHUNKING")
		line("BINARYMIME")
	}
	if !without.RequireTLS && c.secure() {
		line("REQUIRETLS")
	}
	if contains(c.opts.XForward, c.peer) {
		line("XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE")
	}
	if contains(c.opts.XClient, c.peer) {
		line("XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT")
	}
	line("LIMITS RCPTMAX=", strconv.Itoa(c.opts.Limits.Recipients))
	return append(b, "250 ENHANCEDSTATUSCODES\r\n"...)
}

// offersDSN is asked at each greeting; what was said then holds until the next.
func (c *conn) offersDSN() bool {
	return !c.opts.Without.DSN && (c.opts.OfferDSN == nil || c.opts.OfferDSN())
}

// greeted reports that the client has said who it is since the connection or
// its TLS began.
func (c *conn) greeted() bool { return c.client.Hello != "" }

// extended reports a greeting by EHLO or LHLO.
func (c *conn) extended() bool { return c.greeted() && c.client.ESMTP }

func (c *conn) ok() { c.reply(250, reply.Enhanced{2, 0, 0}, "OK") }
