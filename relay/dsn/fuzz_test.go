package dsn

import (
	"bytes"
	"strings"
	"testing"

	"sealpost/relay/reply"
)

// Whatever comes from outside, the notification parses, has the recipients and
// parts it should have, clean lines, and no field that is not on the list.
func FuzzCompose(f *testing.F) {
	for _, report := range reports {
		r := report(f)
		p := r.Recipients[0]
		f.Add(r.Header, r.EnvID, r.ReceivedFrom, p.ORcpt, p.RemoteMTA, p.Diagnostic.Text, p.Diagnostic.Code, r.UTF8)
	}
	f.Add([]byte("Subject: a\n\r\nBcc: b\r\r\n"), "\r\n.\r\n", "[", ";", ":25", "--=_0K7Q3F9W2D4H6B8X--", 599, true)
	const canary = "secretcanary"
	around := []string{"Bcc: " + canary + "\r\nFrom: a\r\n", "\r\nContent-Type: " + canary + "\r\n " + canary + "\r\nX: " + canary + "\r\n\r\n" + canary}
	f.Fuzz(func(t *testing.T, header []byte, envID, hello, orcpt, mta, text string, code int, utf8 bool) {
		if strings.Contains(strings.ToLower(string(header)+envID+hello+orcpt+mta+text), canary) {
			return
		}
		for _, base := range []Report{several(t), global(t)} {
			r := base
			r.Header = []byte(around[0] + string(header) + around[1])
			r.EnvID, r.ReceivedFrom, r.UTF8 = envID, hello, utf8
			p := &r.Recipients[0]
			p.ORcpt, p.RemoteMTA, p.Diagnostic = orcpt, mta, reply.New(code, reply.Enhanced{5, code, 1}, text)
			raw := compose(t, r)
			wellFormed(t, raw, r.SMTPUTF8())
			n := read(t, raw)
			if len(n.kinds) != 3 || len(n.each) != len(r.Recipients) {
				t.Fatalf("%d parts, %d recipients\n%q", len(n.kinds), len(n.each), raw)
			}
			for _, name := range n.fieldNames(t) {
				if !returnable(name) {
					t.Fatalf("%s came back\n%q", name, raw)
				}
			}
			if bytes.Contains(bytes.ToLower(raw), []byte(canary)) {
				t.Fatalf("the canary came back\n%q", raw)
			}
			if len(raw) > perMessage+len(r.Recipients)*perRecipient {
				t.Fatalf("%d octets", len(raw))
			}
		}
	})
}

// A folded text is the same text, and no line of it is blank.
func FuzzFold(f *testing.F) {
	f.Add("550 5.1.1 some text that is so long that it has to be folded at a blank  or  two, once or twice", 12)
	f.Add(" a  b ", 76)
	f.Add(strings.Repeat("x", 200)+" "+strings.Repeat("y", 200), 0)
	f.Fuzz(func(t *testing.T, s string, taken int) {
		if s = clean(s, maxText, true); s == "" {
			return
		}
		lines := fold(s, taken%100, margin)
		if strings.Join(lines, " ") != s {
			t.Errorf("%q became %q", s, lines)
		}
		for _, line := range lines {
			if strings.Trim(line, " ") == "" {
				t.Errorf("blank line in %q", lines)
			}
		}
	})
}

// What is clean is one line of bounded length, and cleaning it again changes
// nothing.
func FuzzClean(f *testing.F) {
	f.Add("a\r\nb\x00\u202e\xff ä", 20, false)
	f.Add(strings.Repeat("ä", 100), 50, true)
	f.Add(strings.Repeat(" ", 100), 7, false)
	f.Fuzz(func(t *testing.T, s string, limit int, wide bool) {
		limit = max(len(cut), limit%1000)
		c := clean(s, limit, wide)
		if len(c) > limit || strings.ContainsAny(c, "\r\n\x00\t") || !wide && !isASCII(c) {
			t.Errorf("%q became %q", s, c)
		}
		if again := clean(c, limit, wide); again != c {
			t.Errorf("%q became %q", c, again)
		}
	})
}
