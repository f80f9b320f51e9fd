package intake

import (
	"errors"
	"os"
	"strings"
	"time"

	"sealpost/relay/reply"
)

// Limits of a line in octets, CRLF included. RFC 5321 section 4.5.3.1.4 wants
// 512; the extensions offered here add to that (500 for ORCPT alone). AUTH
// lines: RFC 4954 section 4.
const (
	maxLine     = 2048
	maxAuthLine = 12288
	// maxSkip is how much of a line that is too long is read before the client
	// is given up.
	maxSkip = 1 << 20
)

// readLine reads a line and takes CRLF off. The line is valid until the next
// read. After errLineTooLong, errAuthTooLong and errLineEnd the wire stands at
// the beginning of the next line.
func (c *conn) readLine(limit int) ([]byte, error) {
	armed := false
	for {
		if c.looksLikeTLS() {
			return nil, c.alien(errTLSOnPlain)
		}
		if hasVerb(c.wire.buffered(), "AUTH") {
			limit = maxAuthLine
		}
		if line, ok := c.wire.cutLine(); ok {
			n := len(line) - 1
			switch {
			case len(line) >= limit:
				return nil, tooLong(limit)
			case n < 0 || line[n] != '\r':
				return nil, errLineEnd
			}
			return line[:n], nil
		}
		if len(c.wire.buffered()) >= limit {
			return nil, c.skipLine(limit)
		}
		if err := c.fillLine(&armed); err != nil {
			return nil, err
		}
	}
}

func hasVerb(line []byte, verb string) bool {
	return len(line) > len(verb) && line[len(verb)] == ' ' && strings.EqualFold(string(line[:len(verb)]), verb)
}

func tooLong(limit int) *reply.Error {
	if limit == maxAuthLine {
		return errAuthTooLong
	}
	return errLineTooLong
}

// skipLine reads to the end of a line that is too long.
func (c *conn) skipLine(limit int) error {
	armed := false
	for skipped := 0; skipped < maxSkip; {
		if _, ok := c.wire.cutLine(); ok {
			return tooLong(limit)
		}
		skipped += len(c.wire.buffered())
		c.wire.advance(len(c.wire.buffered()))
		if err := c.fillLine(&armed); err != nil {
			return err
		}
	}
	return c.alien(errTooManyErrors)
}

// fillLine reads a piece of a line. The deadline is for the whole line, so
// that a client cannot feed it octet by octet.
func (c *conn) fillLine(armed *bool) error {
	if c.meter != nil { // between two chunks of a message
		return c.fillBody()
	}
	limit := time.Duration(0)
	if !*armed {
		c.wire.shrink()
		limit, *armed = c.opts.Timeouts.Command, true
	}
	if err := c.beginIdle(limit); err != nil {
		return err
	}
	err := c.wire.fill()
	c.endIdle()
	switch {
	case err == nil:
		return nil
	case !errors.Is(err, os.ErrDeadlineExceeded):
		return errors.Join(errGone, err)
	case c.tx == nil && c.stopping.Load():
		return errShutdown
	}
	return errIdle
}

// tlsRecord is the first octet of a TLS handshake, which no command begins with.
const tlsRecord = 0x16

// looksLikeTLS reports a client that speaks TLS where none is spoken.
func (c *conn) looksLikeTLS() bool {
	b := c.wire.buffered()
	return len(b) >= 3 && b[0] == tlsRecord && b[1] == 3
}

// alien ends a conversation with something that is no SMTP client.
func (c *conn) alien(e *reply.Error) error {
	c.refuse(e)
	c.quit, c.linger = true, true
	return errGone
}
