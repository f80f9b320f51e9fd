package intake

import (
	"errors"
	"strings"
	"unicode/utf8"

	"sealpost/relay/reply"
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
		if err := c.wire.relieve(); err != nil {
			return command{}, errors.Join(errGone, err)
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
		c.reply(252, reply.Enhanced{2, 5, 2}, "Cannot verify, send the message")
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
