package upstream

import (
	"fmt"

	"sealpost/relay/reply"
)

// A step is one command of a transaction; i counts recipients and XFORWARDs.
type step struct {
	stage Stage
	i     int
}

// window is how many commands are sent before their replies are read. It is
// bounded so that neither side ever waits with full buffers (RFC 2920 section
// 3.1).
const window = 100

// exchange sends commands and reads their replies. Its failures are those of
// the connection; what a reply means for the message is for verdict.
func (c *conn) exchange(t *transaction, steps []step) *Failure {
	for len(steps) > 0 {
		group := steps[:min(len(steps), window)]
		if !c.ext.pipelining {
			group = steps[:1]
		}
		steps = steps[len(group):]
		for _, s := range group {
			c.buf = c.appendCommand(c.buf[:0], t, s)
			c.w.Write(c.buf)
		}
		c.w.Flush() // an error shows in the replies, after the server's last words
		for _, s := range group {
			if f := c.hear(t, s); f != nil {
				return f
			}
		}
		if t.mail.Code != 0 && !t.mail.Positive() {
			return nil
		}
	}
	return nil
}

// hear reads the reply to one command.
func (c *conn) hear(t *transaction, s step) *Failure {
	timeout := c.server.timeouts().Command
	if s.stage == StageData {
		timeout = c.server.timeouts().Data
	}
	r, err := c.reply(timeout)
	switch {
	case err != nil:
		return broken(s.stage, err)
	case r.Code == 421:
		return refused(s.stage, r)
	case r.Positive() && (s.stage == StageData) != (r.Code == 354):
		c.spoiled = true
		return broken(s.stage, fmt.Errorf("%w: %w", errReplyUnfit, causeOf(r)))
	}
	t.heard = true
	t.note(s, r)
	return nil
}

func (t *transaction) note(s step, r reply.Reply) {
	switch s.stage {
	case StageMail:
		t.mail = r
	case StageData:
		t.data = r
	case StageRcpt:
		t.out.Rcpts[s.i] = r
		if r.Positive() {
			return
		}
		f := refused(StageRcpt, r)
		t.out.Rcpts[s.i] = f.Err.Reply
		if t.rcpt == nil || f.Err.Reply.Permanent() && t.rcpt.Err.Reply.Temporary() {
			t.rcpt = f
		}
	}
	// A refused XFORWARD is no reason not to send the message.
}

// verdict is the refusal among the replies so far, if there is one. It leaves
// the connection without a transaction.
func (c *conn) verdict(t *transaction) *Failure {
	mail := t.mail.Positive()
	var f *Failure
	switch {
	case !mail:
		clear(t.out.Rcpts) // 503, most likely: nothing that was said of them
		f = refused(StageMail, t.mail)
	case t.rcpt != nil:
		f = t.rcpt
	case t.data.Code != 0 && !t.data.Positive():
		f = refused(StageData, t.data)
	default:
		return nil
	}
	switch {
	case t.data.Positive():
		c.spoiled = true // it waits for a message now; even an empty one would be one
	case mail:
		c.reset()
	}
	return f
}

// reset ends a transaction that is not to be (RSET).
func (c *conn) reset() {
	if c.spoiled {
		return
	}
	if r, err := c.command("RSET"); err != nil || r.Code != 250 {
		c.spoiled = true
	}
}
