package dsn

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Lengths of lines in octets (RFC 5322 section 2.1.1): the one to stay below
// where there is a blank to fold at, and what one line of text from outside may
// have so that it stays below 998 with a field's name.
const (
	margin  = 76
	maxText = 900
)

// cut marks what was left out.
const cut = "[...]"

// clean makes one harmless line of s, of at most limit octets: tabs and line
// ends become blanks, control characters and what turns the direction of text
// become "?", and so does what is not UTF-8. Characters beyond ASCII become
// \x{HEX} unless wide allows them. What has none of these stays as it is.
func clean(s string, limit int, wide bool) string {
	var b []byte
	whole := 0 // how much of b has room for the mark behind it
	s = strings.TrimLeftFunc(s, isBlank)
	for i, n := 0, 0; i < len(s); i += n {
		var r rune
		r, n = utf8.DecodeRuneInString(s[i:])
		piece := harmless(r, n, wide)
		if len(b)+len(piece) > limit {
			return string(b[:whole]) + cut
		}
		if b = append(b, piece...); len(b) <= limit-len(cut) {
			whole = len(b)
		}
	}
	return strings.TrimRight(string(b), " ")
}

// harmless is one character, n octets long, as it may stand in a notification.
func harmless(r rune, n int, wide bool) string {
	switch {
	case isBlank(r):
		return " "
	case r == utf8.RuneError && n == 1, unicode.IsControl(r), unicode.Is(unicode.Bidi_Control, r):
		return "?"
	case r < utf8.RuneSelf || wide:
		return string(r)
	}
	return escape(r)
}

// isBlank reports a blank, a tab, and what ends a line for anybody.
func isBlank(r rune) bool {
	return r == ' ' || r >= '\t' && r <= '\r' || unicode.In(r, unicode.Zl, unicode.Zp)
}

// escape is EmbeddedUnicodeChar of RFC 6533 section 3.
func escape(r rune) string { return fmt.Sprintf(`\x{%02X}`, r) }

// fold breaks s at single blanks into lines of about width octets where it
// can; taken is how much of the first line is used already. Put together with
// blanks, the lines are s, and none is blank.
func fold(s string, taken, width int) []string {
	var lines []string
	start, blank := 0, 0
	for i := 1; i < len(s)-1; i++ {
		if taken+i-start > width && blank > start {
			lines = append(lines, s[start:blank])
			start, taken = blank+1, 1
		}
		if s[i] == ' ' && s[i-1] != ' ' && s[i+1] != ' ' {
			blank = i
		}
	}
	return append(lines, s[start:])
}

// isASCII reports 7-bit text.
func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// isAtomic reports a word that can be one of RFC 5322's atoms, for the type
// names of RFC 3464 section 2.1.2.
func isAtomic(s string) bool {
	return s != "" && len(s) <= 64 && !strings.ContainsFunc(s, func(r rune) bool {
		return notInID(r) || r == '.'
	})
}
