package dsn

import (
	"bytes"
	"time"
)

// A writer builds fields and lines with CRLF. Everything that goes into a
// field passes clean here, so that no value can end its line.
type writer struct {
	bytes.Buffer
	wide bool // characters beyond ASCII may stand as they are
}

// field writes one header field of one or more lines; with no lines, or an
// empty first one, there is no field.
func (w *writer) field(name string, lines ...string) {
	if len(lines) == 0 || lines[0] == "" {
		return
	}
	w.WriteString(name + ":")
	taken := len(name) + 2
	for _, line := range lines {
		for i, piece := range fold(clean(line, maxText, w.wide), taken, margin) {
			if i > 0 || taken == 1 {
				w.WriteString("\r\n")
			}
			w.WriteString(" " + piece)
		}
		taken = 1
	}
	w.WriteString("\r\n")
}

// exact writes a field whose value is as it must be already: text of ours, and
// addresses, which hold no control characters.
func (w *writer) exact(name, value string) { w.line(name + ": " + value) }

// date writes a date field; the zero time has none.
func (w *writer) date(name string, t time.Time) {
	if !t.IsZero() {
		w.field(name, rfc5322Date(t))
	}
}

// rfc5322Date has the numeric zone that RFC 3464 section 2.2.5 asks for.
func rfc5322Date(t time.Time) string { return t.Format(time.RFC1123Z) }

// line writes one line of text.
func (w *writer) line(text string) { w.WriteString(text + "\r\n") }
