package upstream

import (
	"fmt"
	"strconv"

	"sealpost/relay/reply"
)

// content sends the message itself and reads the answer.
func (c *conn) content(t *transaction) *Failure {
	if err := c.writeContent(t); err != nil {
		return c.interrupted(t, err)
	}
	r, err := c.reply(c.server.timeouts().End)
	if err == nil && r.Code >= 300 && r.Code < 400 {
		err = fmt.Errorf("%w: %w", errReplyUnfit, causeOf(r))
		c.spoiled = true
	}
	if err != nil {
		f := broken(StageEnd, err)
		f.Taken = t.taken
		return f
	}
	if r.Positive() {
		t.out.Reply = r
		return nil
	}
	f := refused(StageEnd, r)
	f.elsewhere = false
	if t.chunked && r.Code >= 500 && r.Code <= 504 {
		c.spoiled = true // has it swallowed the chunk, or does it run it as commands?
	} else if t.chunked {
		c.reset() // RFC 3030 section 2: until then, further chunks are refused
	}
	return f
}

// interrupted is the failure of content that did not get out whole. The
// connection cannot be used again; the server may have said why.
func (c *conn) interrupted(t *transaction, err error) *Failure {
	c.spoiled = true
	if c.writeErr == nil && err != error(errReplyTooSoon) {
		return &Failure{Stage: StageContent, Taken: t.taken, Err: reply.Of(err)}
	}
	if r, err := c.reply(min(lastWords, c.server.timeouts().End)); err == nil && !r.Positive() {
		return refused(StageContent, r)
	}
	f := broken(StageContent, err)
	f.Taken = t.taken
	return f
}

// writeContent sends the message and what ends it.
func (c *conn) writeContent(t *transaction) error {
	o := &c.outlet
	*o = outlet{c: c, t: t, left: t.size, last: '\n', stuff: !t.chunked, binary: t.bodyIs == "BINARYMIME"}
	if t.chunked {
		c.buf = strconv.AppendInt(append(c.buf[:0], "BDAT "...), t.size, 10)
		c.w.Write(append(c.buf, " LAST\r\n"...))
		if t.size == 0 {
			t.taken = MaybeTaken
		}
	}
	if _, err := t.body.content.WriteTo(o); err != nil {
		return err
	}
	if err := o.end(); err != nil {
		return err
	}
	return c.w.Flush()
}
