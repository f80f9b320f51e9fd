package intake

import (
	"net/netip"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzDialog throws bytes at a whole connection. It must come to its end
// without a panic of ours, in step with itself: every reply is well-formed,
// transactions are closed once, and content has only CRLF.
func FuzzDialog(f *testing.F) {
	for _, table := range [][]dialog{orderDialogs, lineDialogs, pathDialogs, paramDialogs, dataDialogs, chunkDialogs, policyDialogs} {
		for _, d := range table {
			if len(d.send) < 1000 {
				f.Add(strings.ReplaceAll("EHLO c\n"+d.send, "\n", "\r\n"), 0)
			}
		}
	}
	f.Add("EHLO c\r\nXFORWARD NAME=a ADDR=1.2.3.4\r\nXCLIENT ADDR=IPV6:::1\r\nEHLO c\r\nAUTH LOGIN\r\n", 1)
	f.Fuzz(func(t *testing.T, in string, piece int) {
		s, box := newTestServer(t, func(o *Options) {
			o.XForward = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
			o.XClient, o.Auth = o.XForward, nobody
			o.Limits.MessageSize = 1000
		})
		out := run(t, s, in, piece&0xff)
		for line := range strings.SplitSeq(strings.TrimSuffix(out, "\r\n"), "\r\n") {
			if !isReplyLine(line) {
				t.Fatalf("%q: reply %q", in, line)
			}
		}
		if box.opened != box.closed || len(s.conns) > 0 {
			t.Fatalf("%q: opened %d, closed %d, left %d", in, box.opened, box.closed, len(s.conns))
		}
		for _, l := range box.letters {
			if l.mail.Body != BodyBinaryMIME {
				checkCRLF(t, l.body)
			}
			if len(l.body) > 1000 || len(l.rcpts) == 0 {
				t.Fatalf("%q: %+v", in, l)
			}
		}
	})
}

func isReplyLine(s string) bool {
	if len(s) < 4 || len(s) > 510 || !utf8.ValidString(s) || s[0] < '2' || s[0] > '5' || s[3] != ' ' && s[3] != '-' {
		return false
	}
	return !strings.ContainsFunc(s, isControl)
}

// FuzzCommand holds the parsers: what a path gives is a mailbox that says the
// same when it is written and read again.
func FuzzCommand(f *testing.F) {
	for _, seed := range []string{`FROM:<"a\">b"@c> SIZE=1`, "FROM:<@a,@b:c@d> ENVID=+41", "FROM: <> BODY=8BITMIME SMTPUTF8", "from:<jü@bü> AUTH=<>"} {
		f.Add(seed)
	}
	s, _ := newTestServer(f, nil)
	f.Fuzz(func(t *testing.T, args string) {
		c := newConn(s, &script{})
		c.client.Hello, c.client.ESMTP = "c", true
		if cmd, err := parseCommand([]byte("MAIL " + args)); err == nil && strings.ContainsFunc(cmd.args, isControl) {
			t.Fatalf("%q: control characters", args)
		}
		m, e := c.parseMail(args)
		if e != nil {
			return
		}
		again, e := c.parseMail("FROM:<" + m.From.String() + "> SMTPUTF8")
		if e != nil || again.From != m.From {
			t.Fatalf("%q: %v, then %v, %v", args, m.From, again.From, e)
		}
		if !isPrintable(m.EnvID) || !isPrintable(m.Auth) || m.Size < 0 {
			t.Fatalf("%q: %+v", args, m)
		}
	})
}

func TestReplyLines(t *testing.T) {
	long := strings.Repeat("word ", 300) + strings.Repeat("ü", 600)
	for _, utf8OK := range []bool{false, true} {
		r := refusal(550, [3]int{4, 1, 1}, "x", long+"\r\n\x00end").Reply
		out := string(appendReply(nil, r, utf8OK))
		lines := strings.Split(strings.TrimSuffix(out, "\r\n"), "\r\n")
		for i, l := range lines {
			last := i == len(lines)-1
			if !isReplyLine(l) || !strings.HasPrefix(l[4:], "5.1.1 ") || (l[3] == ' ') != last {
				t.Errorf("line %q", l)
			}
		}
	}
}
