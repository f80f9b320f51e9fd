package upstream

import (
	"strings"

	"sealpost/internal/reason"
	"sealpost/relay/reply"
)

// A transaction is one message on its way, and what one attempt has heard.
type transaction struct {
	env  *Envelope
	body Body
	size int64
	out  *Outcome

	utf8    bool   // SMTPUTF8 is said
	bodyIs  string // BODY= that is said, "" for none
	chunked bool
	heard   bool // a reply came: the connection was alive
	mail    reply.Reply
	rcpt    *Failure // the refusal of a recipient that weighs most
	data    reply.Reply
	taken   Certainty
}

// begin forgets an earlier attempt.
func (t *transaction) begin(c *conn) {
	*t = transaction{env: t.env, body: t.body, size: t.size, out: t.out}
	clear(t.out.Rcpts)
	o := t.out
	o.Server, o.Remote = c.server.Address, c.remote
	o.TLS, o.Verified, o.Reused = c.tlsName, c.verified, c.messages > 0
}

// deliver is one transaction (RFC 5321 section 3.3), pipelined where the
// server knows that.
//
// DATA goes out together with a sole RCPT. With several, it waits for their
// replies: once one is refused nothing may be sent, and a server that has
// said 354 can only be left by closing the connection. BDAT always waits: a
// server that does not swallow the chunk of a BDAT it refuses would run the
// message as commands. It costs no more round trips than DATA even so.
func (c *conn) deliver(t *transaction) *Failure {
	if f := c.prepare(t); f != nil {
		return f
	}
	c.messages++
	steps := c.plan(t)
	if c.ext.pipelining && !t.chunked && len(t.env.To) == 1 {
		steps = append(steps, step{stage: StageData})
	}
	c.steps = steps
	if f := c.exchange(t, steps); f != nil {
		f.stale = c.messages > 1 && !t.heard && f.Err.Reason != reason.UpstreamTimeout
		return f
	}
	if f := c.verdict(t); f != nil {
		return f
	}
	if !t.chunked && t.data.Code == 0 {
		if f := c.exchange(t, []step{{stage: StageData}}); f != nil {
			return f
		}
		if f := c.verdict(t); f != nil {
			return f
		}
	}
	return c.content(t)
}

// prepare finds out whether the server can take this message, and how.
func (c *conn) prepare(t *transaction) *Failure {
	e, x := t.env, &c.ext
	t.utf8 = e.needsUTF8()
	t.chunked = x.chunking && !c.server.NoChunking
	t.bodyIs = strings.ToUpper(e.Body)
	if t.body.sealed && t.bodyIs != "" {
		// Only its header may hold 8-bit characters, and some servers mind.
		t.bodyIs = ""
		if x.eightBit && !strings.EqualFold(e.Body, "7BIT") {
			t.bodyIs = "8BITMIME"
		}
	}
	t.out.Chunked, t.out.DSNDropped = t.chunked, e.wantsDSN() && !x.dsn
	switch {
	case t.utf8 && !x.smtpUTF8:
		return lacks(550, reply.Enhanced{5, 6, 7}, "The next mail server does not take internationalised addresses (SMTPUTF8)")
	case e.RequireTLS && !(c.verified && x.requireTLS):
		return lacks(550, reply.Enhanced{5, 7, 30}, "The next mail server does not guarantee TLS (REQUIRETLS)")
	case t.bodyIs == "8BITMIME" && !x.eightBit:
		return lacks(554, reply.Enhanced{5, 6, 3}, "The next mail server does not take 8-bit content (8BITMIME)")
	case t.bodyIs == "BINARYMIME" && !(x.binaryMIME && t.chunked):
		return lacks(554, reply.Enhanced{5, 6, 3}, "The next mail server does not take binary content (BINARYMIME)")
	case x.maxSize > 0 && t.size > x.maxSize:
		return tooLarge(t, x.maxSize)
	}
	return nil
}

// tooLarge says both sizes: a sealed message is larger than what the sender sent.
func tooLarge(t *transaction, limit int64) *Failure {
	how := "as it would be sent"
	if t.body.sealed {
		how = "once it is encrypted"
	}
	return &Failure{Stage: StageMail, Err: reply.Errorf(552, reply.Enhanced{5, 3, 4}, reason.MessageTooLarge,
		"The message has %d bytes %s, the next mail server takes %d", t.size, how, limit)}
}

// plan lists the commands up to the last RCPT.
func (c *conn) plan(t *transaction) []step {
	steps := c.steps[:0]
	if t.env.XForward != (Attributes{}) {
		for i := range 2 {
			if c.ext.xforward.half(i == 1) != 0 {
				steps = append(steps, step{StageXForward, i})
			}
		}
	}
	steps = append(steps, step{stage: StageMail})
	for i := range t.env.To {
		steps = append(steps, step{StageRcpt, i})
	}
	return steps
}
