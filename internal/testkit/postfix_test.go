package testkit

import (
	"bytes"
	"net/smtp"
	"os/exec"
	"strings"
	"testing"
)

// oddMessage holds what a mail system is tempted to change.
const oddMessage = "From: bank@bank.example\r\nTo: anna@example.org\r\nsUBJECT:  folded\r\n\t and 8-bit \xe4\r\n" +
	"Message-Id: <1@bank.example>\r\nDate: Mon, 1 Jan 2024 00:00:00 +0000\r\n\r\n.dot\r\n..two\r\n\r\n" +
	"trailing blanks  \t\r\n\xff\xfe high\r\n\r\n\r\n"

func TestPostfixDeliversByteExact(t *testing.T) {
	p := StartPostfix(t, PostfixOptions{})
	long := oddMessage + strings.Repeat("x", 5000) + "\r\n"
	to := []string{"anna@example.org", "bert@example.org"}
	if err := smtp.SendMail(p.Addr, nil, "bank@bank.example", to, []byte(long)); err != nil {
		t.Fatal(err)
	}
	for _, d := range p.WaitDelivered(t, 2) {
		if !bytes.HasSuffix(d.Raw, []byte(long)) {
			t.Errorf("%s got another message:\n%q", d.To, d.Raw)
		}
		if d.From != "bank@bank.example" {
			t.Errorf("sender is %s", d.From)
		}
	}
	if n := len(p.Mailbox("bert@example.org")); n != 1 {
		t.Errorf("bert got %d messages", n)
	}
	if q := p.Queue(t); q != "" {
		t.Errorf("queue is not empty: %s", q)
	}
}

func TestPostfixTakesSwaksAndSendmail(t *testing.T) {
	Need(t, "swaks")
	p := StartPostfix(t, PostfixOptions{})
	out, err := exec.Command("swaks", "--server", p.Addr, "--from", "bank@bank.example",
		"--to", "anna@example.org", "--body", "by swaks").CombinedOutput()
	if err != nil {
		t.Fatalf("swaks: %v\n%s", err, out)
	}
	p.WaitDelivered(t, 1)
	p.Sendmail(t, []byte("Subject: x\n\nby sendmail\n"), "bank@bank.example", "bert@example.org")
	p.WaitDelivered(t, 2)
	for address, text := range map[string]string{"anna@example.org": "by swaks", "bert@example.org": "by sendmail"} {
		box := p.Mailbox(address)
		if len(box) != 1 || !bytes.Contains(box[0].Raw, []byte(text)) {
			t.Errorf("%s got %q", address, box)
		}
	}
}

func TestPostfixRelaysAndDefers(t *testing.T) {
	next := FreeAddr(t)
	p := StartPostfix(t, PostfixOptions{Relay: next})
	if err := smtp.SendMail(p.Addr, nil, "bank@bank.example", []string{"anna@example.org"}, []byte(oddMessage)); err != nil {
		t.Fatal(err)
	}
	p.WaitLog(t, "status=deferred")
	if q := p.Queue(t); !strings.Contains(q, "anna@example.org") {
		t.Errorf("the queue does not hold the message: %s", q)
	}
	sink := StartSink(t, SinkOptions{Addr: next})
	p.Flush(t)
	if m := sink.Wait(t, 1)[0]; !bytes.HasSuffix(m.Raw, []byte(oddMessage)) {
		t.Errorf("got another message:\n%q", m.Raw)
	}
}
