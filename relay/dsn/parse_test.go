package dsn

import (
	"bufio"
	"bytes"
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/emersion/go-message"
	"github.com/emersion/go-message/textproto"
)

// A notification is what an independent parser, go-message, makes of Compose's
// bytes.
type notification struct {
	header message.Header
	kinds  []string // of the parts
	bodies []string // decoded
	whole  textproto.Header
	each   []textproto.Header // the groups of the second part
}

func read(t testing.TB, raw []byte) notification {
	t.Helper()
	m, err := message.Read(bytes.NewReader(raw))
	if err != nil {
		t.Fatalf("%v\n%q", err, raw)
	}
	n := notification{header: m.Header}
	parts := m.MultipartReader()
	if parts == nil {
		t.Fatalf("no multipart\n%q", raw)
	}
	for {
		p, err := parts.NextPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("%v\n%q", err, raw)
		}
		kind, _, err := p.Header.ContentType()
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(p.Body)
		if err != nil {
			t.Fatal(err)
		}
		n.kinds, n.bodies = append(n.kinds, kind), append(n.bodies, string(body))
	}
	if len(n.kinds) != 2 && len(n.kinds) != 3 {
		t.Fatalf("%d parts\n%q", len(n.kinds), raw)
	}
	n.groups(t)
	return n
}

func (n *notification) groups(t testing.TB) {
	t.Helper()
	for i, g := range strings.Split(strings.TrimSuffix(n.bodies[1], "\r\n"), "\r\n\r\n") {
		h, err := textproto.ReadHeader(bufio.NewReader(strings.NewReader(g + "\r\n\r\n")))
		if err != nil {
			t.Fatalf("%v\n%q", err, g)
		}
		if i == 0 {
			n.whole = h
			continue
		}
		n.each = append(n.each, h)
	}
}

// fieldNames gives the names of the returned fields in lower case.
func (n notification) fieldNames(t testing.TB) []string {
	t.Helper()
	var names []string
	if len(n.bodies) < 3 {
		return nil
	}
	for line := range strings.Lines(n.bodies[2]) {
		if line[0] == ' ' || line[0] == '\t' {
			continue
		}
		name, _, ok := strings.Cut(line, ":")
		if !ok {
			t.Fatalf("no field: %q", line)
		}
		names = append(names, strings.ToLower(name))
	}
	return names
}

var lineBreak = regexp.MustCompile("\r\n|\r|\n")

// wellFormed checks what every message must have on the wire.
func wellFormed(t testing.TB, raw []byte, wide bool) {
	t.Helper()
	for _, b := range lineBreak.FindAll(raw, -1) {
		if string(b) != "\r\n" {
			t.Fatalf("bare %q in\n%q", b, raw)
		}
	}
	for line := range bytes.SplitSeq(raw, []byte("\r\n")) {
		if len(line) > maxLine {
			t.Fatalf("line of %d octets: %q", len(line), line)
		}
		if i := bytes.IndexFunc(line, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }); i >= 0 {
			t.Fatalf("control character in %q", line)
		}
	}
	if !fits(raw, wide) {
		t.Fatalf("neither 7-bit nor UTF-8 as announced (wide: %v)\n%q", wide, raw)
	}
}
