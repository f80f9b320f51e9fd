package intake

import (
	"errors"
	"io"

	"sealpost/relay/reply"
)

// dots takes the content of DATA out of its dot-stuffing (RFC 5321 section
// 4.5.2). Only CRLF.CRLF ends it.
type dots struct {
	conn      *conn
	lineBegin bool // the next octet begins a line
}

func (d *dots) next() ([]byte, bool, error) {
	w := &d.conn.wire
	for {
		b := w.buffered()
		switch {
		case len(b) == 0:
		case d.lineBegin && b[0] == '.':
			if len(b) >= 3 && b[1] == '\r' && b[2] == '\n' {
				w.advance(3)
				return nil, true, io.EOF
			}
			if len(b) >= 3 || len(b) == 2 && b[1] != '\r' {
				w.advance(1)
				d.lineBegin = false
				continue
			}
		default:
			if n, clean := scanLines(b, true); n > 0 {
				w.advance(n)
				d.lineBegin = n > 1 && b[n-1] == '\n' && b[n-2] == '\r'
				return b[:n], clean, nil
			}
		}
		if err := d.conn.fillBody(); err != nil {
			return nil, false, err
		}
	}
}

func (d *dots) skip() error {
	for {
		if _, _, err := d.next(); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// data answers DATA (RFC 5321 section 4.1.1.4).
func (c *conn) data() {
	if e := c.dataAllowed(); e != nil {
		c.refuse(e)
		return
	}
	if c.mail.Body == BodyBinaryMIME {
		c.refuse(errBinaryData) // RFC 3030 section 3
		return
	}
	c.reply(354, reply.Enhanced{}, "Start mail input; end with <CRLF>.<CRLF>")
	if err := c.wire.flush(); err != nil {
		c.lose(errGone)
		return
	}
	c.wire.grow()
	m := c.newContent(&dots{conn: c, lineBegin: true})
	c.meter = newMeter(c.opts)
	said := c.tx.Data(c.server.ctx, m)
	own := m.finish()
	c.meter = nil
	if m.lost != nil {
		c.lose(m.lost)
	} else {
		c.verdict(m, own, said)
	}
	c.endTransaction()
}

// dataAllowed is the order of commands before DATA and BDAT.
func (c *conn) dataAllowed() *reply.Error {
	switch {
	case c.tx == nil:
		return errMailFirst
	case c.rcpts > 0:
		return nil
	case c.tried && !c.client.LMTP:
		return errNoRecipients
	}
	return errRcptFirst // what RFC 2033 section 4.2 wants in any case
}

// verdict answers for a message that is over: intake's own word first, then
// the handler's.
func (c *conn) verdict(m *content, own *reply.Error, said []reply.Reply) {
	if own != nil {
		c.count(own)
	}
	if m.whole() {
		c.opts.Hooks.Received(m.size)
	}
	for i := range c.answers(c.rcpts) {
		c.write(answer(m, own, said, i))
	}
	// A verdict must not wait for the commands that were pipelined behind it.
	if err := c.wire.flush(); err != nil {
		c.lose(errGone)
	}
}

// answers is the number of replies that a message gets.
func (c *conn) answers(recipients int) int {
	if c.client.LMTP {
		return recipients
	}
	return 1
}

// answer is the reply for recipient i. What the handler did not say, and a
// yes from a handler that has not seen the end of the message, is our trouble.
func answer(m *content, own *reply.Error, said []reply.Reply, i int) reply.Reply {
	switch {
	case own != nil:
		return own.Tagged()
	case i >= len(said), said[i].Positive() && !m.whole(), said[i].Code/100 == 3:
		return errUnread.Tagged()
	}
	return said[i]
}

// lose ends a connection in the middle of a message. It never goes back to
// commands: what comes next may be the rest of the message.
func (c *conn) lose(err error) {
	c.quit = true
	if errors.Is(err, errAborted) {
		return
	}
	c.linger = true
	c.hangUp(err)
}
