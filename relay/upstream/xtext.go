package upstream

import (
	"strings"
	"unicode/utf8"
)

const upperHex = "0123456789ABCDEF"

// appendXtext encodes s (RFC 3461 section 4): what could end a parameter or a
// line becomes +XX.
func appendXtext(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c > ' ' && c < 0x7f && c != '+' && c != '=' {
			b = append(b, c)
		} else {
			b = append(b, '+', upperHex[c>>4], upperHex[c&15])
		}
	}
	return b
}

// appendORcpt encodes the value of ORCPT: the address type and the address. An
// address of the type utf-8 has an encoding of its own (RFC 6533 section 3),
// which leaves characters beyond ASCII as they are where SMTPUTF8 is in use.
func appendORcpt(b []byte, orcpt string, smtputf8 bool) []byte {
	kind, addr, _ := strings.Cut(orcpt, ";")
	b = append(append(b, kind...), ';')
	if !strings.EqualFold(kind, "utf-8") {
		return appendXtext(b, addr)
	}
	for _, r := range addr {
		switch {
		case r > ' ' && r < 0x7f && r != '+' && r != '=' && r != '\\':
			b = append(b, byte(r))
		case r >= 0xa0 && smtputf8 && r != utf8.RuneError:
			b = utf8.AppendRune(b, r)
		default:
			b = append(b, `\x{`...)
			b = appendHex(b, uint32(r))
			b = append(b, '}')
		}
	}
	return b
}

// appendHex writes at least two digits.
func appendHex(b []byte, v uint32) []byte {
	started := false
	for shift := 28; shift >= 0; shift -= 4 {
		d := v >> shift & 15
		if d != 0 || started || shift <= 4 {
			b, started = append(b, upperHex[d]), true
		}
	}
	return b
}
