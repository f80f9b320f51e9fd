package main

import (
	"fmt"
	"strings"
	"testing"

	"sealpost/internal/testkit"
)

// The published ways to end a message for one server and not for another
// (SMTP smuggling, December 2023, and what was found after it).
var falseEnds = []string{
	"\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r.\r\n", "\r\n.\r", "\n.\r", "\r.\n",
	"\r\n\x00.\r\n", "\r\n.\x00\r\n", "\r\r\n.\r\r\n", "\r\n.\r\r\n", "\n\n.\r\n", "\r\n.\n\r\n", "\r\n\r.\r\n",
	"\x85.\x85", "\r\n..\r\n", "\r\n .\r\n", "\r\n. \r\n", "\v.\v",
}

// smuggled is what stands behind a false end.
const smuggled = "MAIL FROM:<evil@bank.example>\r\nRCPT TO:<victim@example.org>\r\nDATA\r\nSubject: smuggled\r\n\r\nx"

// A smuggler sends each false end in every way and counts what is accepted.
type smuggler struct {
	in        *installation
	listeners map[string]string // bare_newline -> address
	accepted  int
}

// newSmuggler starts Sealpost with a listener for each mode. What the sender
// at open.example sends goes on as it is.
func newSmuggler(t *testing.T, upstream string) *smuggler {
	t.Helper()
	s := &smuggler{in: newInstallation(t, "anna@example.org"), listeners: map[string]string{}}
	s.listeners = map[string]string{"reject": s.in.addr, "normalize": testkit.FreeAddr(t)}
	s.in.configure(t, upstream, fmt.Sprintf(`listen:
  - {address: %q, networks: [127.0.0.0/8]}
  - {address: %q, networks: [127.0.0.0/8], bare_newline: normalize}
policy:
  - {name: open, sender: "*@open.example", encrypt: never}
  - {name: default}
`, s.listeners["reject"], s.listeners["normalize"]))
	s.in.start(t)
	return s
}

// run sends all variants; after each, check is told how many messages were
// accepted so far.
func (s *smuggler) run(t *testing.T, check func(t *testing.T, accepted int)) {
	for mode, addr := range s.listeners {
		d := s.in.dialog(t, connect(t, addr))
		d.expect(t, "220")
		d.say(t, "250", "EHLO mailer.bank.example")
		for _, from := range []string{"statements@bank.example", "report@open.example"} {
			for _, end := range falseEnds {
				inHeader := "Subject: outer\r\nX-Field: x" + end + smuggled + "\r\n\r\nbody\r\n"
				inBody := "Subject: outer\r\n\r\nx" + end + smuggled + "\r\n"
				for _, message := range []string{inHeader, inBody} {
					s.submit(t, d, mode, from, message, "DATA\r\n"+message+".\r\n")
					check(t, s.accepted)
					s.submit(t, d, mode, from, message, fmt.Sprintf("BDAT %d LAST\r\n%s", len(message), message))
					check(t, s.accepted)
				}
			}
		}
		d.say(t, "221", "QUIT")
	}
	if s.accepted < 100 {
		t.Errorf("only %d messages were accepted", s.accepted)
	}
}

// submit wants one answer to one message: yes, or that it has a bare newline.
func (s *smuggler) submit(t *testing.T, d *dialog, mode, from, message, data string) {
	t.Helper()
	d.say(t, "250", "MAIL FROM:<"+from+"> BODY=8BITMIME")
	d.say(t, "250", "RCPT TO:<anna@example.org>")
	d.send(t, data+"NOOP\r\n")
	if strings.HasPrefix(data, "DATA") {
		d.expect(t, "354")
	}
	answer := d.reply(t)
	d.expect(t, "250 2.0.0 OK") // to NOOP: nothing was taken for a command
	bare := strings.ContainsAny(strings.ReplaceAll(message, "\r\n", ""), "\r\n\x00")
	switch {
	case strings.HasPrefix(answer, "250 "):
		s.accepted++
		if bare && (mode == "reject" || strings.Contains(message, "\x00")) {
			t.Errorf("%s: %q was accepted", mode, message)
		}
	case !bare || !strings.HasPrefix(answer, "554 5.6.11 "):
		t.Errorf("%s: %q: %s", mode, message, answer)
	}
	if d.r.Buffered() > 0 {
		t.Fatalf("%s: %q: there is more than one answer", mode, message)
	}
}

// Whatever upstream believes in and offers, one message in is one message out.
func TestSmugglingIntoALenientServer(t *testing.T) {
	for _, extensions := range [][]string{nil, {"PIPELINING"}, {"CHUNKING"}, {"PIPELINING", "CHUNKING"}} {
		t.Run(strings.Join(extensions, "+"), func(t *testing.T) {
			t.Parallel()
			next := startLenient(t, extensions...)
			newSmuggler(t, next.addr).run(t, func(t *testing.T, accepted int) {
				_, messages := next.state()
				if len(messages) != accepted {
					t.Fatalf("%d messages were accepted, %d came out:\n%q", accepted, len(messages), messages[max(0, len(messages)-2):])
				}
			})
			commands, messages := next.state()
			for _, c := range commands {
				if strings.Contains(c, "evil") || strings.Contains(c, "victim") {
					t.Errorf("command %q", c)
				}
			}
			for _, m := range messages {
				if strings.Contains(m, "smuggled") && !strings.Contains(m, "Subject: outer") {
					t.Errorf("a message of its own:\n%q", m)
				}
			}
		})
	}
}

func TestSmugglingIntoPostfix(t *testing.T) {
	for name, discard := range map[string]string{"BDAT": "", "DATA": "chunking", "DATA one by one": "chunking, pipelining"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			postfix := testkit.StartPostfix(t, testkit.PostfixOptions{Main: "smtpd_discard_ehlo_keywords = silent-discard, " + discard + "\n"})
			s := newSmuggler(t, postfix.Addr)
			s.run(t, func(*testing.T, int) {})
			postfix.WaitDelivered(t, s.accepted)
			testkit.Poll(t, "an empty queue", func() bool { return postfix.Queue(t) == "" })
			delivered := postfix.WaitDelivered(t, s.accepted)
			if len(delivered) != s.accepted {
				t.Errorf("%d messages were accepted, %d were delivered", s.accepted, len(delivered))
			}
			for _, d := range delivered {
				if d.To != "anna@example.org" || strings.HasPrefix(d.From, "evil") || !strings.Contains(string(d.Raw), "Subject: outer") {
					t.Errorf("from %s to %s:\n%q", d.From, d.To, d.Raw)
				}
			}
		})
	}
}
