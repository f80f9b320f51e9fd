package intake

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"sealpost/internal/reason"
	"sealpost/relay/reply"
)

// Limits of DSN values in octets (RFC 3461 sections 4.2 and 4.4).
const (
	maxORcpt = 500
	maxEnvID = 100
)

// A param is one esmtp-param (RFC 5321 section 4.1.2).
type param struct {
	key   string // upper case
	value string
	given bool // there was a "="
}

// parseParams splits parameters and refuses what has the wrong form or comes
// twice.
func parseParams(s string) ([]param, *reply.Error) {
	var out []param
	for word := range strings.FieldsFuncSeq(s, func(r rune) bool { return r == ' ' }) {
		key, value, given := strings.Cut(word, "=")
		p := param{strings.ToUpper(key), value, given}
		if !isKeyword(key) || given && value == "" {
			return nil, errParam("Parameter is malformed")
		}
		if slices.ContainsFunc(out, func(q param) bool { return q.key == p.key }) {
			return nil, errParam("Parameter " + p.key + " is given twice")
		}
		out = append(out, p)
	}
	return out, nil
}

func isKeyword(s string) bool {
	for i := range len(s) {
		c := s[i] | 0x20
		if !(c >= 'a' && c <= 'z' || s[i] >= '0' && s[i] <= '9' || s[i] == '-' && i > 0) {
			return false
		}
	}
	return s != "" && len(s) <= 64
}

func errParam(text string) *reply.Error {
	return refusal(501, reply.Enhanced{5, 5, 4}, reason.ProtocolError, text)
}

func errUnknownParam(p param) *reply.Error {
	return refusal(555, reply.Enhanced{5, 5, 4}, reason.ProtocolError, fmt.Sprintf("Parameter %s is not supported", p.key))
}

// mailParams reads the parameters of MAIL. What was not offered to this
// client, after HELO everything, is unknown.
func (c *conn) mailParams(s string) (Mail, *reply.Error) {
	params, e := parseParams(s)
	if e != nil {
		return Mail{}, e
	}
	var m Mail
	for _, p := range params {
		if !c.extended() {
			return Mail{}, errUnknownParam(p)
		}
		if e := c.mailParam(&m, p); e != nil {
			return Mail{}, e
		}
	}
	if m.Auth != "" && c.client.User == "" {
		m.Auth = "<>" // RFC 4954 section 5: the word of a client that is not trusted counts for nothing
	}
	return m, nil
}

func (c *conn) mailParam(m *Mail, p param) (e *reply.Error) {
	without := c.opts.Without
	switch p.key {
	case "SIZE":
		m.Size, e = c.parseSize(p)
	case "BODY":
		m.Body, e = c.parseBody(p)
	case "SMTPUTF8":
		m.UTF8 = true
		if without.UTF8 {
			return errUnknownParam(p)
		}
		e = flagOnly(p)
	case "RET":
		if !c.dsn {
			return errUnknownParam(p)
		}
		m.Ret, e = oneOf(p, "FULL", "HDRS")
	case "ENVID":
		if !c.dsn {
			return errUnknownParam(p)
		}
		m.EnvID, e = decodeXtext(p, maxEnvID)
	case "REQUIRETLS":
		if without.RequireTLS || !c.secure() {
			return errUnknownParam(p)
		}
		m.RequireTLS = true
		e = flagOnly(p)
	case "AUTH":
		if c.opts.Auth == nil || !c.secure() {
			return errUnknownParam(p)
		}
		m.Auth, e = decodeXtext(p, maxORcpt)
	default:
		return errUnknownParam(p)
	}
	return e
}

func flagOnly(p param) *reply.Error {
	if p.given {
		return errParam("Parameter " + p.key + " takes no value")
	}
	return nil
}

func oneOf(p param, values ...string) (string, *reply.Error) {
	if v := strings.ToUpper(p.value); slices.Contains(values, v) {
		return v, nil
	}
	return "", errParam("Parameter " + p.key + " has an unknown value")
}

// parseSize reads SIZE= (RFC 1870): at most 20 digits, and a number that does
// not fit is certainly too large.
func (c *conn) parseSize(p param) (int64, *reply.Error) {
	if p.value == "" || len(p.value) > 20 || strings.Trim(p.value, "0123456789") != "" {
		return 0, errParam("Parameter SIZE is malformed")
	}
	n, err := strconv.ParseInt(p.value, 10, 64)
	if err != nil || n > c.opts.Limits.MessageSize {
		return 0, errTooLarge(c.opts.Limits.MessageSize)
	}
	return n, nil
}

func (c *conn) parseBody(p param) (BodyType, *reply.Error) {
	known := []string{string(Body7Bit), string(Body8BitMIME), string(BodyBinaryMIME)}
	if c.opts.Without.Chunking {
		known = known[:2]
	}
	v, e := oneOf(p, known...)
	return BodyType(v), e
}

// rcptParams reads the parameters of RCPT.
func (c *conn) rcptParams(s string) (Rcpt, *reply.Error) {
	params, e := parseParams(s)
	if e != nil {
		return Rcpt{}, e
	}
	var r Rcpt
	for _, p := range params {
		if !c.extended() || !c.dsn {
			return Rcpt{}, errUnknownParam(p)
		}
		switch p.key {
		case "NOTIFY":
			r.Notify, e = parseNotify(p)
		case "ORCPT":
			r.ORcpt, e = parseORcpt(p, c.mail.UTF8)
		default:
			e = errUnknownParam(p)
		}
		if e != nil {
			return Rcpt{}, e
		}
	}
	return r, nil
}

// parseNotify reads NOTIFY= (RFC 3461 section 4.1).
func parseNotify(p param) ([]string, *reply.Error) {
	words := strings.Split(strings.ToUpper(p.value), ",")
	for i, w := range words {
		switch w {
		case "NEVER":
			if len(words) > 1 {
				return nil, errParam("NOTIFY=NEVER stands alone")
			}
		case "SUCCESS", "FAILURE", "DELAY":
			if slices.Contains(words[:i], w) {
				return nil, errParam("Parameter NOTIFY names a case twice")
			}
		default:
			return nil, errParam("Parameter NOTIFY has an unknown value")
		}
	}
	return words, nil
}
