package smime

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestCanonical(t *testing.T) {
	for in, want := range map[string]string{
		"":                       "",
		"a":                      "a",
		"\n":                     "\r\n",
		"a\nb\n":                 "a\r\nb\r\n",
		"a\r\nb\n\n":             "a\r\nb\r\n\r\n",
		"a\rb\r":                 "a\rb\r",
		"a\r\r\nb":               "a\r\r\nb",
		"\n\r\n\n":               "\r\n\r\n\r\n",
		strings.Repeat("\n", 99): strings.Repeat("\r\n", 99),
	} {
		got, err := io.ReadAll(Canonical(strings.NewReader(in)))
		if err != nil || string(got) != want {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
}

func TestCanonicalHeaderOnly(t *testing.T) {
	for in, want := range map[string]string{
		"a\nb\n\nc\nd":         "a\r\nb\r\n\r\nc\nd",
		"a\r\n\r\nc\nd":        "a\r\n\r\nc\nd",
		"\nc\n":                "\r\nc\n",
		"\r\nc\n":              "\r\nc\n",
		"a\n\r\r\n\n\nb\n":     "a\r\n\r\r\n\r\n\nb\n",
		"a\nb\r\r\nc\n\r\nd\n": "a\r\nb\r\r\nc\r\n\r\nd\n",
	} {
		for _, r := range []io.Reader{strings.NewReader(in), iotest.OneByteReader(strings.NewReader(in))} {
			got, err := io.ReadAll(&canonical{src: r, headerOnly: true})
			if err != nil || string(got) != want {
				t.Errorf("%q: %q, %v", in, got, err)
			}
		}
	}
}

// FuzzCanonical: no line feed is alone, nothing else has changed, doing it
// again changes nothing, and the pieces in which it is read do not matter.
func FuzzCanonical(f *testing.F) {
	f.Add([]byte("a\nb\r\nc\rd\r\r\n"), 1)
	f.Fuzz(func(t *testing.T, in []byte, piece int) {
		out, err := io.ReadAll(Canonical(bytes.NewReader(in)))
		if err != nil {
			t.Fatal(err)
		}
		if n := bytes.Count(out, []byte("\n")); n != bytes.Count(out, []byte("\r\n")) {
			t.Errorf("bare line feed in %q", out)
		}
		lf := func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n")) }
		if !bytes.Equal(lf(in), lf(out)) {
			t.Errorf("%q became %q", in, out)
		}
		again, err := io.ReadAll(Canonical(bytes.NewReader(out)))
		if err != nil || !bytes.Equal(again, out) {
			t.Errorf("%q became %q: %v", out, again, err)
		}
		var slow bytes.Buffer
		small := make([]byte, 1+uint(piece)%7)
		_, err = io.CopyBuffer(writerOnly{&slow}, Canonical(iotest.OneByteReader(bytes.NewReader(in))), small)
		if err != nil || !bytes.Equal(slow.Bytes(), out) {
			t.Errorf("in pieces %q, whole %q: %v", slow.Bytes(), out, err)
		}
	})
}
