package smime

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/emersion/go-message/textproto"
)

// split reads a whole message, and makes sure that it does so in whatever
// pieces it comes.
func split(t testing.TB, raw string, lim Limits) (*Message, string, error) {
	t.Helper()
	m, err := ReadMessage(strings.NewReader(raw), lim)
	slow, slowErr := ReadMessage(iotest.OneByteReader(strings.NewReader(raw)), lim)
	if (err == nil) != (slowErr == nil) {
		t.Fatalf("in one piece: %v; byte by byte: %v", err, slowErr)
	}
	if err != nil {
		if !errors.As(err, new(*MalformedError)) {
			t.Fatalf("%v is no MalformedError", err)
		}
		return nil, "", err
	}
	var text strings.Builder
	if _, err := m.Body.(io.WriterTo).WriteTo(&text); err != nil {
		t.Fatal(err)
	}
	slowText, err := io.ReadAll(slow.Body)
	if err != nil {
		t.Fatal(err)
	}
	if m.Header.Raw() != slow.Header.Raw() || text.String() != string(slowText) {
		t.Fatalf("in one piece: %q, %q; byte by byte: %q, %q", m.Header.Raw(), text.String(), slow.Header.Raw(), slowText)
	}
	if m.Header.Raw()+text.String() != raw {
		t.Fatalf("%q and %q are not the message %q", m.Header.Raw(), text.String(), raw)
	}
	return m, text.String(), nil
}

func names(h *Header) string {
	var all []string
	for f := range h.Fields() {
		all = append(all, f.Name)
	}
	return strings.Join(all, ",")
}

func TestReadMessage(t *testing.T) {
	for _, c := range []struct{ name, in, fields, body string }{
		{"ordinary", "From: a\r\nTo: b\r\n\r\ntext\r\n", "From,To", "text\r\n"},
		{"nothing", "", "", ""},
		{"no header", "\r\ntext", "", "text"},
		{"no body", "From: a\r\n\r\n", "From", ""},
		{"no blank line", "From: a\r\nTo: b\r\n", "From,To", ""},
		{"no line end", "From: a\r\nTo: b", "From,To", ""},
		{"folded", "A: 1\r\n 2\r\n\t3\r\nB: 4\r\n\r\n", "A,B", ""},
		{"folded over blanks", "A: 1\r\n \r\n\t\r\nB: 4\r\n\r\nx", "A,B", "x"},
		{"empty value", "A:\r\nB: \r\n\r\n", "A,B", ""},
		{"space before the colon", "Subject : x\r\nTo\t :y\r\n\r\n", "Subject,To", ""},
		{"field named From with a space", "From : x\r\n\r\n", "From", ""},
		{"body at once", "Dear customer,\r\n\r\ntext", "", "Dear customer,\r\n\r\ntext"},
		{"body without blank line", "A: 1\r\nno field\r\nB: 2\r\n\r\nx", "A", "no field\r\nB: 2\r\n\r\nx"},
		{"quoted mbox line", ">From a@b Mon\r\nA: 1\r\n", "", ">From a@b Mon\r\nA: 1\r\n"},
		{"nothing before the colon", "A: 1\r\n: 2\r\n", "A", ": 2\r\n"},
		{"8-bit in a name", "A: 1\r\nB\xfc: 2\r\n", "A", "B\xfc: 2\r\n"},
		{"8-bit in a value", "A: \xfc\xff\x01\x7f\r\n\r\n", "A", ""},
		{"line feeds in the body", "A: 1\r\n\r\na\nb\rc\x00", "A", "a\nb\rc\x00"},
		{"line feed for blank line", "A: 1\r\n\nB: 2\r\n", "A", "\nB: 2\r\n"},
		{"carriage return for blank line", "A: 1\r\n\r", "A", "\r"},
		{"one of each", "content-type: a\r\nContent-Transfer-Encoding: b\r\n\r\n", "content-type,Content-Transfer-Encoding", ""},
	} {
		m, body, err := split(t, c.in, Limits{})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got := names(m.Header); got != c.fields || body != c.body {
			t.Errorf("%s: fields %q, body %q; want %q, %q", c.name, got, body, c.fields, c.body)
		}
	}
}

func TestReadMessageRefuses(t *testing.T) {
	for _, in := range []string{
		" A: 1\r\n\r\n",
		"\tx",
		"From a@b.example Mon Jan  1 00:00:00 2024\r\nFrom: a\r\n\r\n",
		"A: 1\x00\r\n\r\n",
		"A: 1\r\n x\x00\r\n\r\n",
		"A: 1\nB: 2\r\n\r\n",
		"A: 1\r\n 2\nB: 2\r\n\r\n",
		"A: 1\rB: 2\r\n\r\n",
		"A: 1\r\r\n\r\n",
		"A: 1\r",
		"Content-Type: a/b\r\nContent-Type: a/b\r\n\r\n",
		"Content-Type: a/b\r\ncontent-type : c/d\r\n\r\n",
		"Content-Transfer-Encoding: 7bit\r\nX: y\r\nCONTENT-TRANSFER-ENCODING: 7bit\r\n\r\n",
	} {
		if m, _, err := split(t, in, Limits{}); err == nil {
			t.Errorf("%q: was read: %q", in, m.Header.Raw())
		}
	}
}

func TestReadMessageLimits(t *testing.T) {
	header := "A: 1\r\nB: 2\r\n\r\n"
	for _, c := range []struct {
		in  string
		lim Limits
		ok  bool
	}{
		{header, Limits{HeaderBytes: len(header)}, true},
		{header + "body", Limits{HeaderBytes: len(header)}, true},
		{header, Limits{HeaderBytes: len(header) - 1}, false},
		{header, Limits{HeaderBytes: len(header) - 2}, false},
		{header, Limits{HeaderBytes: len(header) - 3}, false},
		{header, Limits{HeaderBytes: 7}, false}, // within a name
		{"A: 1", Limits{HeaderBytes: 4}, true},
		{"A: 12", Limits{HeaderBytes: 4}, false},
		{"A: 1\r\nno field, and much longer", Limits{HeaderBytes: 12}, true},
		{"A: 1\r\nPerhapsAField: and longer", Limits{HeaderBytes: 12}, false},
		{header, Limits{Fields: 2}, true},
		{header, Limits{Fields: 1}, false},
		{strings.Repeat("A: 1\r\n", 1000) + "\r\n", Limits{}, true},
		{strings.Repeat("A: 1\r\n", 1001) + "\r\n", Limits{}, false},
		{"A: " + strings.Repeat("x", 250<<10) + "\r\n\r\n", Limits{}, true},
		{"A: " + strings.Repeat("x", 256<<10) + "\r\n\r\n", Limits{}, false},
	} {
		if _, _, err := split(t, c.in, c.lim); (err == nil) != c.ok {
			t.Errorf("%.60q, %+v: %v", c.in, c.lim, err)
		}
	}
}

func TestReadMessageGivesTheReadersError(t *testing.T) {
	broken := errors.New("connection lost")
	for _, in := range []string{"", "A: 1", "A: 1\r\n"} {
		_, err := ReadMessage(io.MultiReader(strings.NewReader(in), iotest.ErrReader(broken)), Limits{})
		if !errors.Is(err, broken) {
			t.Errorf("%q: %v", in, err)
		}
	}
	m, err := ReadMessage(io.MultiReader(strings.NewReader("A: 1\r\n\r\nx"), iotest.ErrReader(broken)), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, m.Body); !errors.Is(err, broken) {
		t.Errorf("body: %v", err)
	}
	if _, err := ReadMessage(emptyReader{}, Limits{}); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("a reader that gives nothing: %v", err)
	}
}

type emptyReader struct{}

func (emptyReader) Read([]byte) (int, error) { return 0, nil }

func TestFieldValue(t *testing.T) {
	m, _, err := split(t, "A: one\r\n two\r\n\tthree \r\nB:\r\n four\r\nC :\xfc : x\r\nD:\r\nb: second\r\n\r\n", Limits{})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"a": "one two\tthree", "B": "four", "c": "\xfc : x", "D": "", "E": ""} {
		if got := m.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if n := m.Header.Count("B"); n != 2 {
		t.Errorf("Count: %d", n)
	}
}

// FuzzReadMessage: whatever the bytes, header and body together are the
// message; each field has one place; and where go-message reads a header, it
// reads the same one.
func FuzzReadMessage(f *testing.F) {
	for _, m := range corpus(f) {
		f.Add(m.raw)
	}
	f.Add([]byte("Subject : x\r\nB: \xfc\r\nBcc: y\r\nmime-version: 1.0\r\nMIME-Version: 1.0\r\nContent-Length: 4\r\n\r\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, body, err := split(t, string(raw), Limits{HeaderBytes: 4 << 10, Fields: 50})
		if err != nil {
			return
		}
		checkPlaces(t, m.Header)
		compareWithGoMessage(t, raw, m.Header, body)
	})
}

// checkPlaces: what stays outside, goes inside and is dropped, put together in
// the order of the message, is its header.
func checkPlaces(t *testing.T, h *Header) {
	t.Helper()
	var all, in, out strings.Builder
	for f, where := range place(h, DefaultDrop()) {
		all.WriteString(f.Raw)
		switch where {
		case inside:
			in.Write(appendField(nil, f))
		case outside:
			out.Write(appendField(nil, f))
		}
	}
	if rest := strings.TrimPrefix(h.Raw(), all.String()); rest != "" && rest != "\r\n" {
		t.Fatalf("%q is not the header %q", all.String(), h.Raw())
	}
	inner := string(entityHeader(h))
	outer := string(outerHeader(h, SealOptions{}, "enveloped-data"))
	if !strings.HasSuffix(inner, in.String()+"\r\n") || !strings.HasPrefix(outer, out.String()) {
		t.Fatalf("outer %q, inner %q of %q", outer, inner, h.Raw())
	}
	for _, whole := range []string{inner, outer} {
		m, body, err := split(t, whole, Limits{})
		if err != nil || body != "" || m.Header.Count("Content-Type") != 1 || m.Header.Count("MIME-Version") != 1 {
			t.Fatalf("header made of %q is %q: %v", h.Raw(), whole, err)
		}
	}
}

func compareWithGoMessage(t *testing.T, raw []byte, h *Header, body string) {
	t.Helper()
	if bytes.IndexByte([]byte(h.Raw()), 0) >= 0 || !strings.HasSuffix(h.Raw(), "\r\n\r\n") {
		return // go-message takes the former, and wants the latter
	}
	r := newPeerReader(raw)
	peer, err := textproto.ReadHeader(r)
	if err != nil {
		return
	}
	rest, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	var ours, theirs []string
	for f := range h.Fields() {
		ours = append(ours, strings.ToLower(f.Name)+":"+squeeze(f.Value()))
	}
	for f := peer.Fields(); f.Next(); {
		theirs = append(theirs, strings.ToLower(strings.TrimRight(f.Key(), " \t"))+":"+squeeze(f.Value()))
	}
	if fmt.Sprint(ours) != fmt.Sprint(theirs) || string(rest) != body {
		t.Fatalf("we read %q and %q, go-message %q and %q", ours, body, theirs, rest)
	}
}
