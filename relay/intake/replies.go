package intake

import (
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"

	"sealpost/internal/reason"
	"sealpost/relay/reply"
)

// What intake itself refuses. These are values to be read, never changed.
var (
	errSyntax        = refusal(500, reply.Enhanced{5, 5, 2}, reason.ProtocolError, "Syntax error")
	errLineEnd       = refusal(500, reply.Enhanced{5, 5, 2}, reason.ProtocolError, "Lines end with CRLF")
	errLineTooLong   = refusal(500, reply.Enhanced{5, 5, 2}, reason.ProtocolError, "Line too long")
	errAuthTooLong   = refusal(500, reply.Enhanced{5, 5, 6}, reason.ProtocolError, "Authentication exchange line too long")
	errUnknown       = refusal(500, reply.Enhanced{5, 5, 2}, reason.ProtocolError, "Command not recognized")
	errNotOffered    = refusal(502, reply.Enhanced{5, 5, 1}, reason.ProtocolError, "Command not implemented")
	errNoArguments   = refusal(501, reply.Enhanced{5, 5, 4}, reason.ProtocolError, "Command takes no arguments")
	errHelloArgument = refusal(501, reply.Enhanced{5, 5, 4}, reason.ProtocolError, "Host name expected")
	errHelloFirst    = refusal(503, reply.Enhanced{5, 5, 1}, reason.ProtocolError, "Greet first")
	errNestedMail    = refusal(503, reply.Enhanced{5, 5, 1}, reason.ProtocolError, "Sender already given")
	errMailFirst     = refusal(503, reply.Enhanced{5, 5, 1}, reason.ProtocolError, "MAIL first")
	errRcptFirst     = refusal(503, reply.Enhanced{5, 5, 1}, reason.ProtocolError, "RCPT first")
	errNoRecipients  = refusal(554, reply.Enhanced{5, 5, 1}, reason.ProtocolError, "No valid recipients")
	errInMail        = refusal(503, reply.Enhanced{5, 5, 1}, reason.ProtocolError, "Not during a mail transaction")
	errBinaryData    = refusal(503, reply.Enhanced{5, 5, 1}, reason.ProtocolError, "BINARYMIME goes with BDAT")
	errInChunks      = refusal(503, reply.Enhanced{5, 5, 1}, reason.ProtocolError, "BDAT or RSET expected")
	errChunkSize     = refusal(501, reply.Enhanced{5, 5, 4}, reason.ProtocolError, "Chunk size expected; closing, as the chunk's end is not known")
	errEarlyTalker   = refusal(554, reply.Enhanced{5, 5, 0}, reason.ProtocolError, "Client spoke before the greeting")
	errNeedsUTF8     = refusal(553, reply.Enhanced{5, 6, 7}, reason.AddressInvalid, "Address needs SMTPUTF8")
	errTooManyRcpts  = refusal(452, reply.Enhanced{4, 5, 3}, reason.TooManyRecipients, "Too many recipients")
	errTLSFirst      = refusal(530, reply.Enhanced{5, 7, 0}, reason.TLSRequired, "Must issue a STARTTLS command first")
	errHTTP          = refusal(554, reply.Enhanced{5, 5, 1}, reason.ProtocolError, "This is not an HTTP server")
	errTLSOnPlain    = refusal(554, reply.Enhanced{5, 5, 1}, reason.ProtocolError, "TLS begins with STARTTLS here")
	errTooManyErrors = refusal(421, reply.Enhanced{4, 7, 0}, reason.TooManyErrors, "Too many errors")
	errTooManyConns  = refusal(421, reply.Enhanced{4, 7, 0}, reason.TooManyClients, "Too many connections")
	errTooManyOfOne  = refusal(421, reply.Enhanced{4, 7, 0}, reason.TooManyClients, "Too many connections from your address")
	errShutdown      = refusal(421, reply.Enhanced{4, 3, 2}, reason.ShuttingDown, "Service closing transmission channel")
	errIdle          = refusal(421, reply.Enhanced{4, 4, 2}, reason.ClientTimeout, "Timeout, closing")
	errTooSlow       = refusal(421, reply.Enhanced{4, 4, 2}, reason.ClientTimeout, "Data comes too slowly, closing")
	errBareNewline   = refusal(554, reply.Enhanced{5, 6, 11}, reason.BareNewline, "Message has a bare CR, a bare LF or a NUL")
	errPanic         = refusal(451, reply.Enhanced{4, 3, 0}, reason.InternalError, "Internal error, closing")
	errUnread        = refusal(451, reply.Enhanced{4, 3, 0}, reason.InternalError, "Internal error, try again later")
)

// Ends of a connection that nobody hears of.
var (
	errGone    = errors.New("client is gone")
	errAborted = errors.New("client gave the message up") // RSET, QUIT or a greeting between chunks
)

func refusal(code int, enhanced reply.Enhanced, why reason.Token, text string) *reply.Error {
	return reply.Errorf(code, enhanced, why, "%s", text)
}

// maxReplyText is the room for text in a line of 512 octets (RFC 5321 section
// 4.5.3.1.5) beside code, enhanced code, separators and CRLF.
const maxReplyText = 512 - len("250-5.999.999 \r\n")

// appendReply writes r as it goes on the wire: each line with code and
// enhanced code (RFC 2034), long lines in pieces, and no octet that could end
// a line early. Characters beyond ASCII only pass where the client has said
// SMTPUTF8 (RFC 6531 section 3.7.4.2).
func appendReply(b []byte, r reply.Reply, utf8OK bool) []byte {
	if r.Code < 200 || r.Code > 599 {
		r = errUnread.Reply
	}
	class := r.Code / 100
	if r.Enhanced[0] == 0 {
		r.Enhanced = reply.Enhanced{class, 0, 0}
	}
	if class == 3 {
		r.Enhanced = reply.Enhanced{}
	} else {
		r.Enhanced[0] = class
	}
	text := cleanText(r.Text, utf8OK)
	for {
		line, rest, more := nextLine(text)
		b = strconv.AppendInt(b, int64(r.Code), 10)
		if more {
			b = append(b, '-')
		} else {
			b = append(b, ' ')
		}
		b = appendEnhanced(b, r.Enhanced)
		b = append(b, line...)
		b = append(b, '\r', '\n')
		if !more {
			return b
		}
		text = rest
	}
}

func appendEnhanced(b []byte, e reply.Enhanced) []byte {
	if e[0] == 0 {
		return b
	}
	b = strconv.AppendInt(b, int64(e[0]), 10)
	b = append(b, '.')
	b = strconv.AppendInt(b, int64(e[1]), 10)
	b = append(b, '.')
	b = strconv.AppendInt(b, int64(e[2]), 10)
	return append(b, ' ')
}

// nextLine cuts a line off text, at "\n" or where the line is full: at the
// last blank if there is one.
func nextLine(text string) (line, rest string, more bool) {
	line, rest, more = strings.Cut(text, "\n")
	if len(line) <= maxReplyText {
		return line, rest, more
	}
	end := strings.LastIndexByte(line[:maxReplyText], ' ') + 1
	if end == 0 {
		end = maxReplyText
		for !utf8.RuneStart(text[end]) {
			end--
		}
	}
	return strings.TrimRight(text[:end], " "), text[end:], true
}

func cleanText(s string, utf8OK bool) string {
	for i := range len(s) {
		if s[i] < ' ' && s[i] != '\n' || s[i] >= 0x7f {
			return strings.Map(func(r rune) rune {
				if r < ' ' && r != '\n' || r == 0x7f || r >= 0x80 && (!utf8OK || r < 0xa0) {
					return '?'
				}
				return r
			}, s)
		}
	}
	return s
}

// negative makes sure that a refusal refuses: a code that is none is 451.
func negative(r reply.Reply) reply.Reply {
	if r.Code >= 400 && r.Code <= 599 {
		return r
	}
	return errUnread.Tagged()
}
