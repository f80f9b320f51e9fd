package smime

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"sealpost/internal/address"
)

// ErrFrom says that a header leaves a doubt about who sent the message. The
// error that wraps it says which.
var ErrFrom = errors.New("the From field does not name one sender beyond doubt")

// From gives the one mailbox that a message is from (RFC 5322 section 3.6.2).
//
// Mail programs differ in how they read a From field that is not plain, and who
// gets two of them to see two different senders has forged a message. So what is
// doubtful is refused with ErrFrom, legal or not: no field or several, a blank
// before the colon, a fold with an empty line; a list, a group, a comment, a
// route; quoted local parts and address literals; a display name that holds an
// address other than that of the mailbox; a header that does not end at a blank
// line. Plain are
//
//	anna@example.org
//	<anna@example.org>
//	Anna Example <anna@example.org>
//	"Example, Anna" <anna@example.org>
//	=?utf-8?q?Anna_M=C3=BCller?= <anna@example.org>
func From(h *Header) (address.Address, error) {
	value, err := fromValue(h)
	if err != nil {
		return address.Address{}, err
	}
	name, spec := "", value
	if strings.ContainsAny(value, "<>") {
		open := strings.LastIndexByte(value, '<')
		if open < 0 || !strings.HasSuffix(value, ">") {
			return address.Address{}, doubt("its brackets do not match")
		}
		name, spec = strings.TrimRight(value[:open], " \t"), value[open+1:len(value)-1]
	}
	if strings.ContainsAny(spec, `"[]`) {
		return address.Address{}, doubt("the address is quoted or a literal")
	}
	addr, err := address.Parse(spec)
	if err != nil {
		return address.Address{}, fmt.Errorf("%w: %w", ErrFrom, err)
	}
	return addr, checkName(name, addr)
}

func doubt(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrFrom, fmt.Sprintf(format, args...))
}

// fromValue finds the one From field and unfolds it.
func fromValue(h *Header) (string, error) {
	if !strings.HasSuffix(h.raw, "\r\n\r\n") {
		return "", doubt("the header does not end at a blank line")
	}
	var raw string
	count := 0
	for f := range h.Fields() {
		if !strings.EqualFold(f.Name, "From") {
			continue
		}
		if raw, count = f.Raw[len(f.Name):], count+1; raw[0] != ':' {
			return "", doubt("a blank stands before its colon")
		}
	}
	if count != 1 {
		return "", doubt("there are %d of them", count)
	}
	lines := strings.Split(strings.TrimSuffix(raw[1:], "\r\n"), "\r\n")
	for _, line := range lines[1:] {
		if strings.Trim(line, " \t") == "" {
			return "", doubt("it is folded with an empty line")
		}
	}
	value := strings.Trim(strings.Join(lines, ""), " \t")
	if !utf8.ValidString(value) {
		return "", doubt("it is not UTF-8")
	}
	if strings.ContainsFunc(value, func(r rune) bool { return r != '\t' && unicode.IsControl(r) }) {
		return "", doubt("it holds control characters")
	}
	return value, nil
}

// checkName accepts a display name: one quoted string, or words. Nothing in it
// may look like syntax or like another address.
func checkName(name string, addr address.Address) error {
	if quoted, ok := strings.CutPrefix(name, `"`); ok {
		text, ok := strings.CutSuffix(quoted, `"`)
		if !ok || strings.ContainsAny(text, `"\`) {
			return doubt("the display name is not one plain quoted string")
		}
		return checkWords(text, addr)
	}
	if strings.ContainsAny(name, `"\(),:;@<>[]`) {
		return doubt("the display name holds special characters")
	}
	return checkWords(name, addr)
}

// checkWords looks at a text that some program may take for an address, before
// or after it has decoded the encoded words (RFC 2047) in it. Many set the
// sender's own address as his name.
func checkWords(name string, addr address.Address) error {
	if strings.EqualFold(name, addr.String()) {
		return nil
	}
	for _, word := range strings.Fields(name) {
		text := word
		if strings.Contains(word, "=?") {
			var ok bool
			if text, ok = encodedWord(word); !ok {
				return doubt("the display name holds a damaged encoded word")
			}
			if strings.EqualFold(text, addr.String()) {
				continue
			}
		}
		if strings.ContainsAny(text, "@<>") || strings.ContainsFunc(text, unicode.IsControl) {
			return doubt("the display name looks like another address")
		}
	}
	return nil
}

// encodedWord gives the octets of an encoded word (RFC 2047), whatever their
// character set: what matters here is in ASCII.
func encodedWord(word string) (string, bool) {
	inner, begins := strings.CutPrefix(word, "=?")
	inner, ends := strings.CutSuffix(inner, "?=")
	parts := strings.Split(inner, "?")
	if !begins || !ends || len(parts) != 3 || parts[0] == "" {
		return "", false
	}
	switch strings.ToLower(parts[1]) {
	case "b":
		text, err := base64.StdEncoding.DecodeString(parts[2])
		return string(text), err == nil
	case "q":
		return decodeQ(parts[2])
	}
	return "", false
}

func decodeQ(s string) (string, bool) {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '_':
			b = append(b, ' ')
		case '=':
			if i+2 >= len(s) {
				return "", false
			}
			octet, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
			if err != nil {
				return "", false
			}
			b = append(b, byte(octet))
			i += 2
		default:
			b = append(b, s[i])
		}
	}
	return string(b), true
}
