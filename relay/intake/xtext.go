package intake

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"sealpost/relay/reply"
)

// unxtext decodes xtext (RFC 3461 section 4): "+" and two upper-case hex
// digits stand for an octet.
func unxtext(s string) (string, bool) {
	if !strings.ContainsAny(s, "+=") {
		return s, true
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '=':
			return "", false
		case '+':
			if i+2 >= len(s) || hexDigit(s[i+1]) < 0 || hexDigit(s[i+2]) < 0 {
				return "", false
			}
			b = append(b, byte(hexDigit(s[i+1])<<4|hexDigit(s[i+2])))
			i += 2
		default:
			b = append(b, s[i])
		}
	}
	return string(b), true
}

func hexDigit(c byte) int { return strings.IndexByte("0123456789ABCDEF", c) }

// isPrintable reports printable ASCII, blanks included. What is decoded must
// be tested: xtext can hold a line end.
func isPrintable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// decodeXtext reads a value of printable ASCII.
func decodeXtext(p param, limit int) (string, *reply.Error) {
	v, ok := unxtext(p.value)
	if !ok || v == "" || len(p.value) > limit || !isPrintable(v) {
		return "", errParam("Parameter " + p.key + " is malformed")
	}
	return v, nil
}

// parseORcpt reads ORCPT= (RFC 3461 section 4.2, RFC 6533 section 3). The
// result is printable ASCII in any case, so that it can go on as xtext: a
// utf-8 address that came with its characters bare gets them as \x{HEX}.
func parseORcpt(p param, utf8OK bool) (string, *reply.Error) {
	bad := errParam("Parameter ORCPT is malformed")
	kind, encoded, ok := strings.Cut(p.value, ";")
	if !ok || encoded == "" || len(p.value) > maxORcpt || !isKeyword(kind) {
		return "", bad
	}
	if utf8OK && strings.EqualFold(kind, "utf-8") {
		encoded = embedUnicode(encoded)
	}
	v, ok := unxtext(encoded)
	if !ok || !isPrintable(v) {
		return "", bad
	}
	return kind + ";" + v, nil
}

func embedUnicode(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r < utf8.RuneSelf {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, `\x{%X}`, r)
		}
	}
	return b.String()
}
