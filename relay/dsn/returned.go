package dsn

import (
	"bytes"
	"strings"
)

// Bounds of what is returned of a header, in octets for one field.
const (
	maxField    = 4 << 10
	maxReceived = 1 << 10
	maxHops     = 10
)

// returnable reports the fields that a notification may hold; see the package
// comment. The name is in lower case.
func returnable(name string) bool {
	switch name {
	case "date", "from", "sender", "reply-to", "to", "cc",
		"subject", "message-id", "in-reply-to", "references",
		"resent-date", "resent-from", "resent-sender", "resent-to", "resent-cc", "resent-message-id",
		"auto-submitted", "precedence", "list-id", "received":
		return true
	}
	return false
}

// returned gives the fields of a header that may be returned, in their order
// and folding.
func returned(header []byte) []byte {
	var out bytes.Buffer
	seen := map[string]int{}
	for len(header) > 0 {
		var name string
		var field []byte
		if name, field, header = nextField(header); name == "" {
			break
		}
		most, size := 1, maxField
		if name == "received" {
			most, size = maxHops, maxReceived
		}
		if returnable(name) && seen[name] < most && len(field) <= size {
			seen[name]++
			out.Write(field)
		}
	}
	return out.Bytes()
}

// nextField takes a field off the top of a header: its name in lower case and
// its lines, clean and with CRLF. The name is "" where the header ends, which
// is also at a line that is no field: what follows may be the body.
//
// A bare CR or LF ends a line as well. Some reader will see it so, and what
// then looks like a field of its own must be on the list itself.
func nextField(header []byte) (name string, field, rest []byte) {
	line, rest := cutLine(header)
	i := bytes.IndexByte(line, ':')
	if i <= 0 || bytes.ContainsFunc(line[:i], func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return "", nil, nil
	}
	name = strings.ToLower(string(line[:i]))
	for {
		field = append(append(field, harmlessLine(line)...), "\r\n"...)
		if len(rest) == 0 || rest[0] != ' ' && rest[0] != '\t' {
			return name, field, rest
		}
		for line, rest = cutLine(rest); len(bytes.Trim(line, " \t")) == 0; line, rest = cutLine(rest) {
			if len(rest) == 0 || rest[0] != ' ' && rest[0] != '\t' {
				return name, field, rest // a line of blanks is none
			}
		}
	}
}

// cutLine takes a line off the top.
func cutLine(b []byte) (line, rest []byte) {
	i := bytes.IndexAny(b, "\r\n")
	if i < 0 {
		return b, nil
	}
	n := i + 1
	if b[i] == '\r' && n < len(b) && b[n] == '\n' {
		n++
	}
	return b[:i], b[n:]
}

// harmlessLine has "?" for each control character but the tab.
func harmlessLine(line []byte) []byte {
	out := make([]byte, len(line))
	for i, c := range line {
		if c < ' ' && c != '\t' || c == 0x7f {
			c = '?'
		}
		out[i] = c
	}
	return out
}

// messageID is the msg-id of the message a header belongs to, or "" when it has
// none that can stand in a field of ours.
func messageID(header []byte) string {
	for len(header) > 0 {
		var name string
		var field []byte
		if name, field, header = nextField(header); name == "" {
			return ""
		}
		if name != "message-id" {
			continue
		}
		_, value, _ := strings.Cut(string(field), ":")
		value = strings.TrimSpace(strings.ReplaceAll(value, "\r\n", ""))
		if len(value) > 250 || !isMsgID(value) {
			return ""
		}
		return value
	}
	return ""
}

// isMsgID reports <left@right> of printable ASCII without blanks.
func isMsgID(s string) bool {
	inside, ok := strings.CutPrefix(s, "<")
	inside, closed := strings.CutSuffix(inside, ">")
	return ok && closed && strings.Count(inside, "@") == 1 && !strings.ContainsFunc(inside, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || r == '<' || r == '>' || r == '?'
	})
}
