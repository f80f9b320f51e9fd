package intake

import (
	"errors"
	"os"
	"strings"
	"unicode/utf8"

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

// A command is one line: the verb in upper case, and what follows its blank.
type command struct {
	verb string
	args string
}

// readCommand gives the next command. Lines that are none are answered here.
func (c *conn) readCommand() (command, error) {
	if next := c.unread; next != nil {
		c.unread = nil
		return *next, nil
	}
	for {
		if c.tx == nil && c.stopping.Load() {
			return command{}, errShutdown
		}
		line, err := c.readLine(maxLine)
		if err == nil {
			var cmd command
			if cmd, err = parseCommand(line); err == nil {
				return cmd, nil
			}
		}
		var e *reply.Error
		if !errors.As(err, &e) || e.Reply.Code == 421 {
			return command{}, err
		}
		c.refuse(e)
		if c.quit {
			return command{}, errGone
		}
	}
}

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
	if !*armed {
		c.wire.shrink()
		if err := c.beginIdle(c.opts.Timeouts.Command); err != nil {
			return err
		}
		*armed = true
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

// parseCommand reads a line. The error is errSyntax for octets that no
// command has: control characters, and what is not UTF-8.
func parseCommand(line []byte) (command, error) {
	for _, b := range line {
		if b < ' ' && b != '\t' || b == 0x7f {
			return command{}, errSyntax
		}
	}
	if !utf8.Valid(line) {
		return command{}, errSyntax
	}
	verb, args, _ := strings.Cut(strings.TrimRight(string(line), " \t"), " ")
	if strings.Contains(args, "\t") {
		return command{}, errSyntax
	}
	return command{verb: strings.ToUpper(verb), args: args}, nil
}

// execute answers one command.
func (c *conn) execute(cmd command) {
	if isHTTP(cmd) {
		_ = c.alien(errHTTP)
		return
	}
	if e := c.precondition(cmd); e != nil {
		c.refuse(e)
		return
	}
	switch cmd.verb {
	case "EHLO", "HELO", "LHLO":
		c.hello(cmd)
	case "MAIL":
		c.mailFrom(cmd.args)
	case "RCPT":
		c.rcptTo(cmd.args)
	case "DATA":
		c.data()
	case "BDAT":
		c.bdat(cmd.args)
	case "RSET":
		c.reset()
		c.ok()
	case "NOOP":
		c.ok()
	case "QUIT":
		c.reply(221, reply.Enhanced{2, 0, 0}, "Bye")
		c.quit = true
	case "VRFY":
		c.reply(252, reply.Enhanced{2, 5, 2}, "Send some mail, I will try my best")
	case "HELP":
		c.reply(214, reply.Enhanced{2, 0, 0}, "See RFC 5321")
	case "STARTTLS":
		c.startTLS()
	case "AUTH":
		c.auth(cmd.args)
	case "XFORWARD":
		c.xforward(cmd.args)
	case "XCLIENT":
		c.xclient(cmd.args)
	case "EXPN", "ETRN", "TURN", "ATRN", "SEND", "SOML", "SAML":
		c.refuse(errNotOffered)
	default:
		c.refuse(errUnknown)
	}
}

// precondition is what holds before a command is looked at: arguments where
// none belong, and TLS where it is required (RFC 3207 section 4). BDAT is
// exempt: its chunk has to be read in any case.
func (c *conn) precondition(cmd command) *reply.Error {
	switch cmd.verb {
	case "DATA", "RSET", "QUIT", "STARTTLS":
		if cmd.args != "" {
			return errNoArguments
		}
	}
	if c.opts.TLS != TLSRequire || c.secure() {
		return nil
	}
	switch cmd.verb {
	case "EHLO", "HELO", "LHLO", "NOOP", "RSET", "QUIT", "HELP", "STARTTLS", "BDAT", "AUTH":
		return nil
	}
	return errTLSFirst
}

func isHTTP(cmd command) bool {
	switch cmd.verb {
	case "GET", "POST", "PUT", "HEAD", "OPTIONS", "CONNECT", "DELETE", "PATCH", "TRACE", "PRI":
		return true
	}
	return strings.HasPrefix(cmd.verb, "HTTP/")
}

// reset forgets the transaction (RFC 5321 section 4.1.1.5).
func (c *conn) reset() {
	c.endTransaction()
	c.failed = nil
}
