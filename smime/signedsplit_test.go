package smime

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// TestSplitSigned goes over multipart/signed bodies, well-formed and odd.
func TestSplitSigned(t *testing.T) {
	const end = "\r\n--b\r\nsig\r\n--b--\r\n"
	long := strings.Repeat("x", 40000)
	for _, test := range []struct{ name, body, content, signature string }{
		{"plain", "--b\r\nA: b\r\n\r\ntext" + end, "A: b\r\n\r\ntext", "sig"},
		{"preamble", "pre\r\n\r\n--b\r\ntext" + end, "text", "sig"},
		{"epilogue", "--b\r\ntext" + end + "epi\r\n--c--\r\n", "text", "sig"},
		{"no line end at the end", "--b\r\ntext\r\n--b\r\nsig\r\n--b--", "text", "sig"},
		{"padding", "--b \t\r\ntext\r\n--b \r\nsig\r\n--b-- \t \r\n", "text", "sig"},
		{"line ends before the boundary", "--b\r\ntext\r\n\r\n" + end, "text\r\n\r\n", "sig"},
		{"empty lines only", "--b\r\n\r\n" + end, "\r\n", "sig"},
		{"one empty line", "--b\r\n" + end, "", "sig"},
		{"nested", "--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n\r\n1\r\n--c--\r\n" + end,
			"Content-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n\r\n1\r\n--c--\r\n", "sig"},
		{"boundary within a line", "--b\r\nx--b\r\n --b" + end, "x--b\r\n --b", "sig"},
		{"dashes", "--b\r\n--\r\n--a\r\n-" + end, "--\r\n--a\r\n-", "sig"},
		{"a line of 40000", "--b\r\n" + long + "\r\n" + long + end, long + "\r\n" + long, "sig"},
		{"trailing blanks", "--b\r\ntext \t" + end, "text \t", "sig"},
	} {
		for _, piece := range []func(io.Reader) io.Reader{iotest.OneByteReader, func(r io.Reader) io.Reader { return r }} {
			var content bytes.Buffer
			signature, err := splitSigned(piece(strings.NewReader(test.body)), "b", &content)
			if want := strings.TrimSuffix(test.signature, "\r\n"); err != nil || content.String() != test.content || string(signature) != want {
				t.Errorf("%s: %v, %.100q, %q", test.name, err, content.String(), signature)
			}
		}
	}
}

// TestSplitSignedRefuses: what two programs may take apart in two ways.
func TestSplitSignedRefuses(t *testing.T) {
	const end = "\r\n--b\r\nsig\r\n--b--\r\n"
	buffer := strings.Repeat("x", 16<<10-6) // the line's CR is the last in the buffer
	for name, body := range map[string]string{
		"nothing":                     "",
		"no boundary":                 "text\r\n",
		"no end":                      "--b\r\ntext\r\n--b\r\nsig\r\n",
		"one part":                    "--b\r\ntext\r\n--b--\r\n",
		"three parts":                 "--b\r\n1\r\n--b\r\n2\r\n--b\r\n3\r\n--b--\r\n",
		"an end only":                 "--b--\r\n",
		"empty part":                  "--b\r\n--b\r\nsig\r\n--b--\r\n",
		"boundary as a prefix":        "--b\r\ntext\r\n--bc\r\nmore" + end,
		"end as a prefix":             "--b\r\ntext\r\n--b--x" + end,
		"prefix in the preamble":      "--bc\r\n--b\r\ntext" + end,
		"boundary behind the end":     "--b\r\ntext" + end + "--b\r\nother\r\n",
		"second end":                  "--b\r\ntext" + end + "--b--\r\n",
		"line feed alone":             "--b\r\nte\nxt" + end,
		"line feed before a boundary": "--b\r\ntext\n--b\r\nsig\r\n--b--\r\n",
		"carriage return alone":       "--b\r\nte\rxt" + end,
		"carriage returns":            "--b\r\ntext\r" + end,
		"carriage return at the end":  "--b\r\ntext" + end + "\r x",
		"carriage return cut off":     "--b\r\n" + buffer + "\rmore" + end,
		"line feed cut off":           "--b\r\n" + buffer + "x\nmore" + end,
		"much padding":                "--b\r\ntext\r\n--b" + strings.Repeat(" ", 20000) + "\r\nsig\r\n--b--\r\n",
		"huge signature":              "--b\r\ntext\r\n--b\r\n" + strings.Repeat("sig\r\n", maxSignaturePart/4) + "--b--\r\n",
	} {
		if _, err := splitSigned(strings.NewReader(body), "b", io.Discard); !errors.As(err, new(*MalformedError)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, boundary := range []string{"", "b ", strings.Repeat("b", 71)} {
		body := "--" + boundary + "\r\ntext\r\n--" + boundary + "\r\nsig\r\n--" + boundary + "--\r\n"
		if _, err := splitSigned(strings.NewReader(body), boundary, io.Discard); !errors.As(err, new(*MalformedError)) {
			t.Errorf("boundary %q: %v", boundary, err)
		}
	}
	if _, err := splitSigned(iotest.ErrReader(io.ErrClosedPipe), "b", io.Discard); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("an error of the reader became %v", err)
	}
}

// FuzzSplitSigned: what comes apart goes together again, the same in pieces of
// any size, and the boundary is in no part.
func FuzzSplitSigned(f *testing.F) {
	for _, s := range []string{"--b\r\ntext\r\n--b\r\nsig\r\n--b--\r\n", "pre\r\n--b\r\n\r\n\r\n--b \r\n\r\n--b--", "--b\r\n--bb\r\n", "--b\r\nx\r\r\n--b--\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		var content, again bytes.Buffer
		signature, err := splitSigned(strings.NewReader(body), "b", &content)
		signature2, err2 := splitSigned(iotest.OneByteReader(strings.NewReader(body)), "b", &again)
		if (err == nil) != (err2 == nil) || err == nil && (content.String() != again.String() || string(signature) != string(signature2)) {
			t.Fatalf("at once: %v, %q; in pieces: %v, %q", err, content.String(), err2, again.String())
		}
		if err != nil {
			return
		}
		_, rest, ok := strings.Cut(body, content.String()+"\r\n--b")
		if !ok || !strings.Contains(rest, string(signature)) {
			t.Errorf("%q and %q are not in %q", content.String(), signature, body)
		}
		for _, part := range []string{content.String(), string(signature)} {
			if strings.HasPrefix(part, "--b") || strings.Contains(part, "\n--b") {
				t.Errorf("a boundary is in %q", part)
			}
		}
	})
}
