package harvest

import (
	"encoding/asn1"
	"strings"
	"unicode"

	"sealpost/smime"
)

// oidData is the content type of signed mail (RFC 8551 section 2.4.1).
var oidData = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}

// maxText bounds what strangers wrote and people read, in characters.
const maxText = 300

// printable leaves out of a stranger's text what a terminal or a log would stumble over.
func printable(s string) string {
	var b strings.Builder
	n := 0
	for _, r := range s {
		if n == maxText {
			b.WriteString("…")
			break
		}
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			r = '?'
		}
		b.WriteRune(r)
		n++
	}
	return b.String()
}

// messageID is the message's own, if there is one and it looks like one.
func messageID(h *smime.Header) string {
	id := h.Get("Message-ID")
	odd := func(r rune) bool { return r <= ' ' || r > '~' }
	if h.Count("Message-ID") != 1 || len(id) > maxText || strings.ContainsFunc(id, odd) ||
		!strings.HasPrefix(id, "<") || !strings.HasSuffix(id, ">") {
		return ""
	}
	return id
}
