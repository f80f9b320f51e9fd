package intake

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/netip"
	"net/textproto"
	"strings"
	"testing"
	"testing/iotest"
)

func withTLS(mode TLSMode) func(*Options) {
	return func(o *Options) { o.TLS, o.TLSConfig = mode, func() *tls.Config { return nil } }
}

func nobody(context.Context, string, string) bool { return false }

func foreignX(o *Options) {
	o.XForward = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	o.XClient = o.XForward
}

// The published ways to end a message for one server and not for another
// (SMTP smuggling, 2023, and what was found after it).
var smuggling = []string{
	"\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r.\r\n", "\r\n.\r", "\n.\r", "\r.\n",
	"\r\n\x00.\r\n", "\r\n.\x00\r\n", "\r\r\n.\r\r\n", "\r\n.\r\r\n", "\n\n.\r\n", "\r\n.\n\r\n", "\r\n\r.\r\n",
	"\x85.\x85", "\r\n..\r\n", "\r\n .\r\n", "\r\n. \r\n", "\v.\v",
}

// What stands behind a false end must stay inside the one message, or the
// message must be refused; never is it a message of its own.
func TestSmuggling(t *testing.T) {
	const inner = "MAIL FROM:<evil@example.org>\r\nRCPT TO:<victim@example.org>\r\nDATA\r\nSubject: smuggled\r\n\r\nx"
	for _, end := range smuggling {
		for _, mode := range []BareNewline{Reject, Normalize} {
			for _, piece := range []int{0, 1, 7} {
				s, box := newTestServer(t, func(o *Options) { o.BareNewline = mode })
				out := run(t, s, message("anna@example.org", "Subject: outer\r\n\r\nx"+end+inner+"\r\n.\r\nNOOP\r\n"), piece)
				if !strings.HasSuffix(out, "250 2.0.0 OK\r\n") || strings.Count(out, "\r\n354 ") != 1 {
					t.Fatalf("%q: the dialog is out of step:\n%s", end, out)
				}
				refused := strings.Contains(out, "\r\n554 5.6.11 ")
				if len(box.letters) > 1 || refused == (len(box.letters) == 1) {
					t.Fatalf("%q: %d messages, refused: %v", end, len(box.letters), refused)
				}
				for _, l := range box.letters {
					checkCRLF(t, l.body)
					if !strings.Contains(l.body, "smuggled") || l.mail.From.Local() != "anna" {
						t.Fatalf("%q: not the one message: %q", end, l.body)
					}
				}
			}
		}
	}
}

// checkCRLF wants what upstream may be given: CR and LF only as a pair, no NUL.
func checkCRLF(t testing.TB, body string) {
	t.Helper()
	rest := strings.ReplaceAll(body, "\r\n", "")
	if strings.ContainsAny(rest, "\r\n\x00") {
		t.Fatalf("bare newline or NUL in %q", body)
	}
}

func TestDataContent(t *testing.T) {
	long := strings.Repeat("0123456789", 30000)
	for _, test := range []struct {
		in, want string
		mode     BareNewline
	}{
		{".\r\n", "", Reject},
		{"\r\n.\r\n", "\r\n", Reject},
		{"a\r\n.\r\n", "a\r\n", Reject},
		{"a\r\n..\r\n.\r\n", "a\r\n.\r\n", Reject},
		{"..\r\n...a\r\n.b\r\n.\r\n", ".\r\n..a\r\nb\r\n", Reject},
		{"a.b\r\nc.\r\n.\r\n", "a.b\r\nc.\r\n", Reject},
		{"ü\xff\r\n.\r\n", "ü\xff\r\n", Reject},
		{long + "\r\n.\r\n", long + "\r\n", Reject},
		{long + "\r\n.." + long + "\r\n.\r\n", long + "\r\n." + long + "\r\n", Reject},
		{"a\nb\rc\r\rd\n\re\r\n.\r\n", "a\r\nb\r\nc\r\n\r\nd\r\n\r\ne\r\n", Normalize},
		{"a\r\r\n.\r\n", "a\r\n\r\n", Normalize}, // the body that never ended elsewhere
		{"a\n.\r\nb\r\n.\r\n", "a\r\n.\r\nb\r\n", Normalize},
		{"a\r\n.\nb\r\n.\r\n", "a\r\n\r\nb\r\n", Normalize},
	} {
		for _, piece := range []int{0, 1, 2, 3, 1000} {
			s, box := newTestServer(t, func(o *Options) { o.BareNewline = test.mode })
			run(t, s, message("anna@example.org", test.in), piece)
			if len(box.letters) != 1 || box.letters[0].body != test.want {
				t.Errorf("%.40q in pieces of %d: %.80v, want %.80q", test.in, piece, box.letters, test.want)
			}
		}
	}
}

// dataReader gives content over a script, without a dialog.
func dataReader(s *Server, in []byte, piece int) *content {
	c := newConn(s, &script{in: in, piece: piece})
	c.wire.grow()
	c.meter = newMeter(c.opts)
	return c.newContent(&dots{conn: c, lineBegin: true})
}

// A small Read, a large one and WriteTo give the same.
func TestContentIsAReader(t *testing.T) {
	s, _ := newTestServer(t, nil)
	in := []byte(strings.Repeat("..line with a dot\r\nline without\r\n", 10000) + ".\r\n")
	want := strings.Repeat(".line with a dot\r\nline without\r\n", 10000)
	if err := iotest.TestReader(dataReader(s, in, 0), []byte(want)); err != nil {
		t.Error(err)
	}
	var b bytes.Buffer
	m := dataReader(s, in, 777)
	n, err := m.WriteTo(&b)
	if err != nil || b.String() != want || n != int64(len(want)) {
		t.Errorf("WriteTo: %d octets, %v", n, err)
	}
	if n, err := m.Read(make([]byte, 9)); n != 0 || err != io.EOF {
		t.Errorf("Read after the end: %d, %v", n, err)
	}
}

// FuzzData compares the data reader with net/textproto's. Where there is a
// bare CR, a bare LF or a NUL, textproto is lenient and this one is not; that
// is the documented difference. Everywhere else, and for where the data ends,
// they agree.
func FuzzData(f *testing.F) {
	for _, end := range smuggling {
		f.Add([]byte("x"+end+"y\r\n.\r\n"), 3)
	}
	f.Add([]byte("..a\r\n.\r\nQUIT\r\n"), 1)
	s, _ := newTestServer(f, nil)
	norm, _ := newTestServer(f, normalize)
	f.Fuzz(func(t *testing.T, in []byte, piece int) {
		piece &= 0xff
		got, err := io.ReadAll(dataReader(s, bytes.Clone(in), 0))
		again, err2 := io.ReadAll(dataReader(s, bytes.Clone(in), piece))
		if !bytes.Equal(got, again) && err == nil || kind(err) != kind(err2) {
			t.Fatalf("%q in pieces of %d: %q %v, %q %v", in, piece, got, err, again, err2)
		}
		compareWithTextproto(t, in, got, err)
		compareNormalized(t, norm, in, piece)
	})
}

func kind(err error) string {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, errBareNewline):
		return "bare"
	}
	return "gone"
}

func compareWithTextproto(t *testing.T, in, got []byte, err error) {
	clean := !strings.ContainsAny(strings.ReplaceAll(string(in), "\r\n", ""), "\r\n\x00")
	if !clean {
		if err == nil {
			checkCRLF(t, string(got))
		}
		return
	}
	want, errWant := io.ReadAll(textproto.NewReader(bufio.NewReader(bytes.NewReader(in))).DotReader())
	if (err == nil) != (errWant == nil) {
		t.Fatalf("%q: %v, textproto %v", in, err, errWant)
	}
	if err == nil && !bytes.Equal(got, bytes.ReplaceAll(want, []byte("\n"), []byte("\r\n"))) {
		t.Fatalf("%q: %q, textproto %q", in, got, want)
	}
}

func compareNormalized(t *testing.T, s *Server, in []byte, piece int) {
	got, err := io.ReadAll(dataReader(s, bytes.Clone(in), 0))
	again, err2 := io.ReadAll(dataReader(s, bytes.Clone(in), piece))
	if kind(err) != kind(err2) || err == nil && !bytes.Equal(got, again) {
		t.Fatalf("normalized, %q in pieces of %d: %q %v, %q %v", in, piece, got, err, again, err2)
	}
	checkCRLF(t, string(got))
}

// FuzzChunks cuts one message into chunks at will: the content is the same, or
// refused, as if it came in one.
func FuzzChunks(f *testing.F) {
	f.Add([]byte("a\r\nb\r\n"), []byte{1, 2}, false)
	f.Add([]byte("a\rb\nc\r"), []byte{2, 1, 1}, true)
	f.Fuzz(func(t *testing.T, body, cuts []byte, norm bool) {
		mode := Reject
		if norm {
			mode = Normalize
		}
		s, box := newTestServer(t, func(o *Options) { o.BareNewline = mode })
		run(t, s, begunWith(body, nil), 0)
		run(t, s, begunWith(body, cuts), 5)
		bare := strings.ContainsAny(strings.ReplaceAll(string(body), "\r\n", ""), "\r\n\x00")
		switch {
		case !bare && (len(box.letters) != 2 || box.letters[0].body != string(body)):
			t.Fatalf("%q: %v", body, box.letters)
		case bare && !norm && len(box.letters) > 0:
			t.Fatalf("%q went through: %v", body, box.letters)
		case len(box.letters) == 1, len(box.letters) == 2 && box.letters[0].body != box.letters[1].body:
			t.Fatalf("%q with cuts %v: %v", body, cuts, box.letters)
		}
		for _, l := range box.letters {
			checkCRLF(t, l.body)
		}
	})
}

func begunWith(body, cuts []byte) string {
	var b bytes.Buffer
	b.WriteString("EHLO c\r\nMAIL FROM:<anna@example.org>\r\nRCPT TO:<bert@example.org>\r\n")
	for _, n := range cuts {
		size := min(int(n), len(body))
		writeChunk(&b, body[:size], false)
		body = body[size:]
	}
	writeChunk(&b, body, true)
	return b.String()
}
