package main

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"sealpost/internal/address"
	"sealpost/internal/testkit"
)

// What a client may write between the brackets of RCPT, and who that is: the
// mailbox that policy, directory and upstream all see; "" where it is refused.
var mailboxes = []struct{ path, who string }{
	{"anna@allowed.example", "anna@allowed.example"},
	{"Anna@Allowed.EXAMPLE", "Anna@allowed.example"},
	{`"anna"@allowed.example`, "anna@allowed.example"},
	{`"a b"@allowed.example`, `"a b"@allowed.example`},
	{`"a\"b"@allowed.example`, `"a\"b"@allowed.example`},
	{`"<a>"@allowed.example`, `"<a>"@allowed.example`},
	{`"a,b;c"@allowed.example`, `"a,b;c"@allowed.example`},
	{"@relay.example,@other.example:anna@allowed.example", "anna@allowed.example"},
	{"anna@[192.0.2.1]", "anna@[192.0.2.1]"},
	{"anna@[IPv6:2001:DB8::1]", "anna@[IPv6:2001:db8::1]"},
	{"anna@xn--bcher-kva.example", "anna@xn--bcher-kva.example"},
	{"anna@bücher.example", "anna@xn--bcher-kva.example"},
	{"anna@BÜCHER.example", "anna@xn--bcher-kva.example"},
	{"anna+tag=victim@allowed.example", "anna+tag=victim@allowed.example"},

	{"victim%victim.example@allowed.example", ""},
	{"victim.example!victim@allowed.example", ""},
	{"victim@victim.example@allowed.example", ""},
	{`"victim@victim.example"@allowed.example`, ""},
	{`"victim@victim.example> X="@allowed.example`, ""},
	{`"victim@victim.example> NOTIFY=NEVER"@allowed.example`, ""},
	{`"victim\@victim.example"@allowed.example`, ""},
	{"victim＠victim.example@allowed.example", ""},
	{"@allowed.example:victim%victim.example@allowed.example", ""},
	{"@allowed.example", ""},
	{"anna@allowed.example.", ""},
	{"anna@@allowed.example", ""},
	{"anna @allowed.example", ""},
	{"anna@allowed.example,victim@victim.example", ""},
	{"anna@[192.0.2.256]", ""},
	{"anna", ""},
	{"", ""},
}

var rcptLine = regexp.MustCompile(`(?m)^RCPT TO:<(.*)>( [A-Z0-9=-]+)*\r$`)

// The mailbox that policy saw, the one that was looked up and the one that
// upstream got are the same, or there is none.
func TestOneMailboxAllTheWay(t *testing.T) {
	in := newInstallation(t)
	keys := newKeyserver(t, in)
	id := in.ca.Issue(t, testkit.Leaf{Addresses: []string{
		"anna@allowed.example", "Anna@allowed.example", `"a b"@allowed.example`, `"a\"b"@allowed.example`, `"<a>"@allowed.example`,
		`"a,b;c"@allowed.example`, "anna@[192.0.2.1]", "anna@[IPv6:2001:db8::1]", "anna@xn--bcher-kva.example",
		"anna+tag=victim@allowed.example", "victim@victim.example",
	}})
	for _, m := range mailboxes {
		in.enroll(m.who, id)
	}
	in.enroll("victim@victim.example", id)
	sink := testkit.StartSink(t, testkit.SinkOptions{})
	in.configure(t, sink.Addr, "lookup:\n  sources:\n"+keys.source("")+`  cache: {entries: 0}
policy:
  - {name: victim, recipient: "*@victim.example", encrypt: never}
  - {name: victim-anywhere, recipient: "victim*", encrypt: never}
  - {name: allowed, recipient: "*@allowed.example"}
  - {name: idn, recipient: "*@bücher.example"}
  - {name: rest}
`)
	in.start(t)
	message := sampleMail(testkit.NewCanary(t))
	d := in.dial(t)
	for _, m := range mailboxes {
		asked, wire := len(keys.queries()), len(sink.Wire())
		d.say(t, "250", "MAIL FROM:<statements@bank.example> SMTPUTF8 BODY=8BITMIME")
		d.send(t, "RCPT TO:<"+m.path+">\r\n")
		if got := d.reply(t); m.who == "" {
			if !strings.HasPrefix(got, "501 5.1.3") && !strings.HasPrefix(got, "553 5.1.3") && !strings.HasPrefix(got, "501 5.5.4") {
				t.Errorf("<%s>: %s", m.path, got)
			}
			d.say(t, "250", "RSET")
			if len(keys.queries()) != asked || len(sink.Wire()) != wire {
				t.Errorf("<%s> was refused, but somebody was asked", m.path)
			}
			continue
		} else if !strings.HasPrefix(got, "250") {
			t.Errorf("<%s>: %s", m.path, got)
			d.say(t, "250", "RSET")
			continue
		}
		if got := d.data(t, message); !strings.HasPrefix(got, "250") {
			t.Fatalf("<%s>: %s", m.path, got)
		}
		if got := keys.queries()[asked:]; !slices.Equal(got, []string{m.who}) {
			t.Errorf("<%s>: the directory was asked for %q, want %q", m.path, got, m.who)
		}
		got := rcptLine.FindAllStringSubmatch(string(sink.Wire()[wire:]), -1)
		if len(got) != 1 || keyOf(t, got[0][1]) != m.who {
			t.Errorf("<%s>: upstream got %q, want the mailbox %q", m.path, got, m.who)
		}
	}
	for line := range strings.Lines(in.log(t)) {
		if strings.Contains(line, "rule=victim") || strings.Contains(line, "to=<victim") {
			t.Errorf("policy saw the victim: %s", line)
		}
	}
	in.waitLog(t, "to=<anna@bücher.example>", "rule=idn")
	in.waitLog(t, "to=<anna@xn--bcher-kva.example>", "rule=idn")
}

func keyOf(t *testing.T, s string) string {
	t.Helper()
	a, err := address.Parse(s)
	if err != nil {
		t.Errorf("upstream got %q: %v", s, err)
	}
	return a.Key()
}
