package upstream

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"sealpost/relay/reply"
)

// Bounds of a reply. RFC 5321 section 4.5.3.1.5 gives a line 512 octets; what
// some servers add is borne with.
const (
	maxReplyLine  = 2048
	maxReplyLines = 100
	maxReplyText  = 16 << 10
)

// A protocolError is something that is no SMTP reply.
type protocolError string

func (e protocolError) Error() string { return string(e) }

const (
	errReplyLong    = protocolError("a reply is too long")
	errReplyEnd     = protocolError("a reply line does not end in CRLF")
	errReplySyntax  = protocolError("a reply does not begin with a reply code")
	errReplyCodes   = protocolError("a reply has lines with different codes")
	errReplyTooSoon = protocolError("a reply came before its command")
	errReplyUnfit   = protocolError("a reply does not fit its command")
)

// A replyReader reads replies (RFC 5321 section 4.2), strictly and within
// bounds.
type replyReader struct {
	br   *bufio.Reader
	text []byte
}

func newReplyReader(r io.Reader) *replyReader {
	return &replyReader{br: bufio.NewReaderSize(r, 2*maxReplyLine)}
}

// read reads one reply of any number of lines. The lines of its text are
// separated by "\n". An enhanced code is that of the first line; where that has
// one, it is taken off all lines.
func (r *replyReader) read() (reply.Reply, error) {
	var out reply.Reply
	r.text = r.text[:0]
	for n := 0; ; n++ {
		line, err := r.line()
		if err != nil {
			if n > 0 && err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return reply.Reply{}, err
		}
		code, text, more, err := cutReplyLine(line)
		switch {
		case err != nil:
			return reply.Reply{}, err
		case n > 0 && code != out.Code:
			return reply.Reply{}, errReplyCodes
		case n == maxReplyLines, len(r.text)+len(text) > maxReplyText:
			return reply.Reply{}, errReplyLong
		}
		if n > 0 {
			r.text = append(r.text, '\n')
		}
		enhanced, behind := cutEnhanced(code, text)
		if n == 0 {
			out.Code, out.Enhanced = code, enhanced
		}
		if out.Enhanced[0] != 0 {
			text = behind
		}
		r.text = append(r.text, text...)
		if !more {
			out.Text = printable(r.text)
			return out, nil
		}
	}
}

// line reads a line and takes off its CRLF. It is valid until the next call.
func (r *replyReader) line() ([]byte, error) {
	line, err := r.br.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) || len(line) > maxReplyLine {
		return nil, errReplyLong
	}
	if err != nil {
		if len(line) > 0 && err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	line, ok := bytes.CutSuffix(line, []byte("\r\n"))
	if !ok {
		return nil, errReplyEnd
	}
	return line, nil
}

// cutReplyLine splits "250-text" and "250 text". The code alone is a last line
// without text.
func cutReplyLine(line []byte) (code int, text []byte, more bool, err error) {
	if len(line) < 3 || line[0] < '2' || line[0] > '5' || !isDigit(line[1]) || !isDigit(line[2]) {
		return 0, nil, false, errReplySyntax
	}
	code = int(line[0]-'0')*100 + int(line[1]-'0')*10 + int(line[2]-'0')
	if len(line) == 3 {
		return code, nil, false, nil
	}
	switch line[3] {
	case ' ':
		return code, line[4:], false, nil
	case '-':
		return code, line[4:], true, nil
	}
	return 0, nil, false, errReplySyntax
}

// cutEnhanced takes an enhanced status code (RFC 2034 section 4) off the front
// of text. One of another class than the reply is text like any other.
func cutEnhanced(code int, text []byte) (reply.Enhanced, []byte) {
	var e reply.Enhanced
	rest := text
	for i := range e {
		digits := 0
		for digits < len(rest) && digits < 3 && isDigit(rest[digits]) {
			e[i] = e[i]*10 + int(rest[digits]-'0')
			digits++
		}
		rest = rest[digits:]
		if digits == 0 || i == 0 && e[0] != code/100 {
			return reply.Enhanced{}, text
		}
		if i < 2 {
			if len(rest) == 0 || rest[0] != '.' {
				return reply.Enhanced{}, text
			}
			rest = rest[1:]
		}
	}
	switch {
	case e[0] == 3:
		return reply.Enhanced{}, text
	case len(rest) == 0:
		return e, rest
	case rest[0] == ' ', rest[0] == '\t':
		return e, rest[1:]
	}
	return reply.Enhanced{}, text
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// printable makes text fit for logs and for our own replies: what is not
// printable becomes "?", and tabs become spaces.
func printable(text []byte) string {
	plain := true
	for _, c := range text {
		plain = plain && (c >= ' ' && c < 0x7f || c == '\n')
	}
	if plain {
		return string(text)
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case r == '\n' || r != utf8.RuneError && unicode.IsPrint(r):
			return r
		}
		return '?'
	}, string(text))
}
