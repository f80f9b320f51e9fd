package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"
	"unicode/utf16"

	"golang.org/x/sys/unix"
	"golang.org/x/text/width"
)

// A paper is what a report for people is written on: a terminal with a width
// and colours, or a file with neither. What strangers wrote is made harmless
// before it gets there.
type paper struct {
	out    *bufio.Writer
	width  int // columns; 0: lines are as long as they are
	colour bool
}

// An ink is how text is set off, as the number of a terminal's colour.
type ink string

const (
	plain  ink = ""
	bold   ink = "1"
	faint  ink = "2"
	red    ink = "31"
	green  ink = "32"
	yellow ink = "33"
)

const narrowest = 40 // columns; on less nothing can be read whatever is done

// newPaper looks where the report goes.
func newPaper(w io.Writer) *paper {
	p := &paper{out: bufio.NewWriter(w)}
	f, ok := w.(*os.File)
	if !ok {
		return p
	}
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return p // no terminal
	}
	p.width = 80
	if size.Col > 0 {
		p.width = max(int(size.Col), narrowest)
	}
	p.colour = os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	return p
}

// end writes what is not written yet.
func (p *paper) end() error { return p.out.Flush() }

// in gives text its colour. It has been made harmless before.
func (p *paper) in(c ink, text string) string {
	if !p.colour || c == plain || text == "" {
		return text
	}
	return "\x1b[" + string(c) + "m" + text + "\x1b[0m"
}

// json writes one object on a line. What a terminal could take for an order is
// escaped there too.
func (p *paper) json(v any) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return err
	}
	for _, r := range b.String() { // encoding/json leaves no invalid UTF-8
		switch {
		case r == '\n' || unicode.IsPrint(r):
			p.out.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(p.out, "\\u%04x\\u%04x", high, low)
		default:
			fmt.Fprintf(p.out, "\\u%04x", r)
		}
	}
	return nil
}

func (p *paper) blank() { p.out.WriteByte('\n') }

// line writes text behind a number of blanks, and what does not fit on lines of
// their own below.
func (p *paper) line(indent int, c ink, text string) {
	p.labelled(indent, "", 0, c, text)
}

// headline writes what a report is about, and the gist of it.
func (p *paper) headline(subject string, c ink, text string) {
	subject = printable(subject) + ":"
	for i, part := range wrapped(subject+" "+printable(text), p.width, p.width > 0) {
		head := ""
		if i == 0 {
			head = subject[:min(len(subject), len(part))]
		}
		p.out.WriteString(p.in(bold, head) + p.in(c, part[len(head):]))
		p.blank()
	}
}

// field writes a value behind its name; nothing when there is none.
func (p *paper) field(indent int, name string, c ink, value string) {
	if value != "" {
		p.labelled(indent, name, labelWidth, c, value)
	}
}

const labelWidth = 12

// labelled writes a name of so many columns and a text beside it.
func (p *paper) labelled(indent int, name string, columns int, c ink, text string) {
	left := indent + columns
	for i, part := range wrapped(printable(text), p.width-left, p.width > 0) {
		if i == 0 {
			fmt.Fprintf(p.out, "%*s%s%*s", indent, "", p.in(faint, name), max(columns-len(name), 0), "")
		} else {
			fmt.Fprintf(p.out, "%*s", left, "")
		}
		p.out.WriteString(p.in(c, part))
		p.blank()
	}
}

// wrapped cuts text between words into lines of at most so many columns. A word
// that is longer stays whole: it is there to be copied.
func wrapped(text string, columns int, cut bool) []string {
	if !cut || columnsOf(text) <= columns {
		return []string{text}
	}
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		switch {
		case line == "":
			line = word
		case columnsOf(line)+1+columnsOf(word) <= columns:
			line += " " + word
		default:
			lines = append(lines, line)
			line = word
		}
	}
	return append(lines, line)
}

// columnsOf is how wide a terminal shows text.
func columnsOf(text string) (n int) {
	for _, r := range text {
		switch k := width.LookupRune(r).Kind(); {
		case unicode.In(r, unicode.Mn, unicode.Me):
		case k == width.EastAsianWide || k == width.EastAsianFullwidth:
			n += 2
		default:
			n++
		}
	}
	return n
}

// padded fills text up to so many columns.
func padded(text string, columns int) string {
	return text + strings.Repeat(" ", max(columns-columnsOf(text), 0))
}
