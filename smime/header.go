package smime

import (
	"iter"
	"strings"
)

// A Header is the header of a message, byte for byte as it came. Fields are
// places in it; nothing is ever unfolded, decoded or written anew in place.
type Header struct {
	raw   string
	spans []span
}

// A span is the place of one field in Header.raw.
type span struct {
	start, name, end int // name is where the name ends
}

// A Field is one header field.
type Field struct {
	Name string // as it is written, without the colon
	Raw  string // the whole field with its line ends
}

// Value is what stands behind the colon, unfolded (RFC 5322 section 2.2.3) and
// without the blanks around it. It may hold bytes beyond ASCII and encoded
// words.
func (f Field) Value() string {
	_, v, _ := strings.Cut(f.Raw, ":")
	v = strings.Trim(v, " \t\r\n")
	if strings.Contains(v, "\r\n") {
		v = strings.ReplaceAll(v, "\r\n", "")
	}
	return v
}

// Raw is the header as it came, with the blank line that ended it if there was
// one: Raw and Message.Body together are the message.
func (h *Header) Raw() string { return h.raw }

// Fields goes over the fields from top to bottom.
func (h *Header) Fields() iter.Seq[Field] {
	return func(yield func(Field) bool) {
		for _, s := range h.spans {
			if !yield(Field{Name: h.raw[s.start:s.name], Raw: h.raw[s.start:s.end]}) {
				return
			}
		}
	}
}

// Get is the value of the topmost field of that name, in any case of letters;
// "" when there is none.
func (h *Header) Get(name string) string {
	for f := range h.Fields() {
		if strings.EqualFold(f.Name, name) {
			return f.Value()
		}
	}
	return ""
}

// Count tells how many fields have that name, in any case of letters.
func (h *Header) Count(name string) int {
	n := 0
	for f := range h.Fields() {
		if strings.EqualFold(f.Name, name) {
			n++
		}
	}
	return n
}
