package intake

import (
	"errors"
	"fmt"
	"strings"

	"sealpost/internal/address"
	"sealpost/internal/reason"
	"sealpost/relay/reply"
)

// mailFrom answers MAIL (RFC 5321 section 4.1.1.2).
func (c *conn) mailFrom(args string) {
	switch {
	case !c.greeted():
		c.refuse(errHelloFirst)
		return
	case c.tx != nil:
		c.refuse(errNestedMail)
		return
	}
	m, e := c.parseMail(args)
	if e != nil {
		c.refuse(e)
		return
	}
	c.begin(m)
}

// parseMail reads what stands behind MAIL.
func (c *conn) parseMail(args string) (Mail, *reply.Error) {
	path, params, e := cutCommand(args, "FROM:")
	if e != nil {
		return Mail{}, e
	}
	m, e := c.mailParams(params)
	if e != nil {
		return Mail{}, e
	}
	if path == "" {
		return m, nil
	}
	from, err := address.Parse(path)
	if err != nil {
		return Mail{}, errAddress(err, "Sender", reply.Enhanced{5, 1, 7})
	}
	if from.NeedsUTF8() && !m.UTF8 {
		return Mail{}, errNeedsUTF8
	}
	m.From = from
	return m, nil
}

// begin starts a transaction.
func (c *conn) begin(m Mail) {
	c.client.utf8 = m.UTF8
	client := c.client
	tx, err := c.opts.Handler.Mail(c.server.ctx, &client, m)
	if err != nil {
		c.refuseWith(err)
		c.client.utf8 = false
		return
	}
	c.failed = nil
	c.tx, c.mail = tx, m
	c.reply(250, reply.Enhanced{2, 1, 0}, "OK")
}

// rcptTo answers RCPT (RFC 5321 section 4.1.1.3).
func (c *conn) rcptTo(args string) {
	if c.tx == nil {
		c.refuse(errMailFirst)
		return
	}
	c.tried = true
	r, e := c.parseRcpt(args)
	if e == nil && c.rcpts >= c.opts.Limits.Recipients {
		e = errTooManyRcpts
	}
	if e != nil {
		c.refuse(e)
		return
	}
	if err := c.tx.Rcpt(c.server.ctx, r); err != nil {
		c.refuseWith(err)
		return
	}
	c.rcpts++
	c.reply(250, reply.Enhanced{2, 1, 5}, "OK")
}

// parseRcpt reads what stands behind RCPT.
func (c *conn) parseRcpt(args string) (Rcpt, *reply.Error) {
	path, params, e := cutCommand(args, "TO:")
	if e != nil {
		return Rcpt{}, e
	}
	r, e := c.rcptParams(params)
	if e != nil {
		return Rcpt{}, e
	}
	if strings.EqualFold(path, "postmaster") {
		path += "@" + c.opts.Hostname
	}
	to, err := address.Parse(path)
	if err != nil {
		return Rcpt{}, errAddress(err, "Recipient", reply.Enhanced{5, 1, 3})
	}
	if to.NeedsUTF8() && !c.mail.UTF8 {
		return Rcpt{}, errNeedsUTF8
	}
	r.To = to
	return r, nil
}

// errAddress is the refusal of a mailbox. Routes get a code of their own: the
// syntax is right, and still the address is not one that is served here.
func errAddress(err error, whose string, enhanced reply.Enhanced) *reply.Error {
	code, why := 501, reason.AddressInvalid
	if errors.Is(err, address.ErrRouting) {
		code, why = 553, reason.AddressRouting
	}
	return refusal(code, enhanced, why, fmt.Sprintf("%s %s", whose, err)).Because(err)
}
