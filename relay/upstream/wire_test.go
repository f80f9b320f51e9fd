package upstream

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"unicode"

	"sealpost/relay/reply"
)

func TestReadReply(t *testing.T) {
	for raw, want := range map[string]reply.Reply{
		"250 Ok\r\n":                       {Code: 250, Text: "Ok"},
		"250\r\n":                          {Code: 250},
		"250 \r\n":                         {Code: 250},
		"250 2.1.0 Ok\r\n":                 {Code: 250, Enhanced: reply.Enhanced{2, 1, 0}, Text: "Ok"},
		"250 2.1.0\r\n":                    {Code: 250, Enhanced: reply.Enhanced{2, 1, 0}},
		"550 5.1.100 No\r\n":               {Code: 550, Enhanced: reply.Enhanced{5, 1, 100}, Text: "No"},
		"550 4.1.1 No\r\n":                 {Code: 550, Text: "4.1.1 No"},
		"550 5.1 No\r\n":                   {Code: 550, Text: "5.1 No"},
		"550 5.1.1.1 No\r\n":               {Code: 550, Text: "5.1.1.1 No"},
		"550 5.1.1000 No\r\n":              {Code: 550, Text: "5.1.1000 No"},
		"354 3.0.0 Go\r\n":                 {Code: 354, Text: "3.0.0 Go"},
		"250-2.0.0 a\r\n250 b\r\n":         {Code: 250, Enhanced: reply.Enhanced{2, 0, 0}, Text: "a\nb"},
		"550-5.1.1 a\r\n550 5.1.1 b\r\n":   {Code: 550, Enhanced: reply.Enhanced{5, 1, 1}, Text: "a\nb"},
		"550-a\r\n550 5.1.1 b\r\n":         {Code: 550, Text: "a\n5.1.1 b"},
		"250-\r\n250-\r\n250\r\n":          {Code: 250, Text: "\n\n"},
		"550 a\x00b\rc\x7f\x1b[0m\td\r\n":  {Code: 550, Text: "a?b?c??[0m d"},
		"550 gr\xc3\xbc\xc3\x9f \xfc\r\n":  {Code: 550, Text: "grüß ?"},
		"550 \xe2\x80\xa8\xe2\x80\xae\r\n": {Code: 550, Text: "??"},
		"571 Sendmail's own\r\n":           {Code: 571, Text: "Sendmail's own"},
	} {
		r := newReplyReader(strings.NewReader(raw + "rest"))
		got, err := r.read()
		if err != nil || got != want {
			t.Errorf("%q: %+v, %v", raw, got, err)
		}
		if rest, _ := io.ReadAll(r.br); string(rest) != "rest" {
			t.Errorf("%q: left %q", raw, rest)
		}
	}
}

func TestReadReplyRefuses(t *testing.T) {
	long := strings.Repeat("x", 2048)
	for raw, want := range map[string]error{
		"":                               io.EOF,
		"25":                             io.ErrUnexpectedEOF,
		"250-a\r\n":                      io.ErrUnexpectedEOF,
		"250 Ok\n":                       errReplyEnd,
		"\r\n":                           errReplySyntax,
		"25\r\n":                         errReplySyntax,
		"25a Ok\r\n":                     errReplySyntax,
		"150 Ok\r\n":                     errReplySyntax,
		"650 Ok\r\n":                     errReplySyntax,
		"2500 Ok\r\n":                    errReplySyntax,
		"250_Ok\r\n":                     errReplySyntax,
		" 250 Ok\r\n":                    errReplySyntax,
		"250-a\r\n251 b\r\n":             errReplyCodes,
		"250-a\r\nb\r\n":                 errReplySyntax,
		"250 " + long + "\r\n":           errReplyLong,
		long + long + long:               errReplyLong,
		strings.Repeat("250-a\r\n", 101): errReplyLong,
		strings.Repeat("250-"+long[:1000]+"\r\n", 20): errReplyLong,
	} {
		if got, err := newReplyReader(strings.NewReader(raw)).read(); !errors.Is(err, want) {
			t.Errorf("%.40q: %+v, %v, want %v", raw, got, err, want)
		}
	}
	if _, err := newReplyReader(strings.NewReader(strings.Repeat("250-a\r\n", 99) + "250 b\r\n")).read(); err != nil {
		t.Errorf("100 lines: %v", err)
	}
}

// What is read is fit for a log, and means the same when it is read again.
func FuzzReadReply(f *testing.F) {
	for _, seed := range []string{"250 Ok\r\n", "550-5.1.1 a\r\n550 5.1.1 b\r\n", "250-\r\n250\r\n", "421 \xff\x00\r\n", "550 5.1.1\ta\r\n", "25", "250 Ok\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		got, err := newReplyReader(strings.NewReader(raw)).read()
		if err != nil {
			return
		}
		for _, r := range got.Text {
			if r != '\n' && !unicode.IsPrint(r) {
				t.Errorf("%q in %q", r, got.Text)
			}
		}
		again, err := newReplyReader(strings.NewReader(written(got))).read()
		if err != nil || again != got {
			t.Errorf("%+v became %+v, %v", got, again, err)
		}
	})
}

// written is a reply in its form on the wire.
func written(r reply.Reply) string {
	lines := strings.Split(r.Text, "\n")
	var b strings.Builder
	for i, line := range lines {
		sep := "-"
		if i == len(lines)-1 {
			sep = " "
		}
		fmt.Fprintf(&b, "%d%s", r.Code, sep)
		if e := r.Enhanced.String(); e != "" {
			b.WriteString(e + " ")
		}
		b.WriteString(line + "\r\n")
	}
	return b.String()
}

func TestParseExtensions(t *testing.T) {
	got := parseExtensions("mx.example.org greets you\nPIPELINING\nsize 1000\nAUTH PLAIN\nAUTH=login\n\nXFORWARD NAME addr\nLIMITS MAILMAX=7 X=1\nX-OTHER a b\nSIZE")
	want := extensions{
		keywords: []string{"PIPELINING", "SIZE", "AUTH", "AUTH", "XFORWARD", "LIMITS", "X-OTHER", "SIZE"}, pipelining: true,
		size: true, maxSize: 1000, auth: []string{"PLAIN", "LOGIN"}, xforward: 3, maxMessages: 7,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
	for _, odd := range []string{"", "x", "x\nSIZE -1", "x\nSIZE 99999999999999999999", "x\nSIZE ten", "x\nLIMITS MAILMAX=0"} {
		if e := parseExtensions(odd); e.maxSize != 0 || e.maxMessages != 0 {
			t.Errorf("%q: %+v", odd, e)
		}
	}
}
