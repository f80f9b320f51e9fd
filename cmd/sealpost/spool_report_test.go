package main

import (
	"strings"
	"testing"
	"time"

	"sealpost/internal/testkit"
)

// choosy is a Postfix that refuses and defers some recipients by name.
const choosy = `smtpd_recipient_restrictions = check_recipient_access inline:{
  { refused@example.org = 550 5.1.1 no such mailbox }, { refused@bank.example = 550 5.1.1 no such mailbox },
  { later@example.org = 450 4.2.1 not now } }, permit_mynetworks, reject
`

// envelope sends a message with parameters of RFC 3461.
func (in *installation) envelope(t testing.TB, mail, rcpt, message string) {
	t.Helper()
	d := in.dial(t)
	defer d.Close()
	d.say(t, "250", "MAIL FROM:"+mail+" BODY=8BITMIME")
	d.say(t, "250", "RCPT TO:"+rcpt)
	if got := d.data(t, message); !strings.HasPrefix(got, "250 ") {
		t.Fatalf("MAIL FROM:%s RCPT TO:%s: %s", mail, rcpt, got)
	}
}

// report wants exactly one message in the mailbox, and all of this in it.
func (in *installation) report(t testing.TB, p *testkit.Postfix, canary testkit.Canary, mailbox string, wants ...string) {
	t.Helper()
	testkit.Poll(t, "a report to "+mailbox, func() bool { return len(p.Mailbox(mailbox)) > 0 })
	box := p.Mailbox(mailbox)
	if len(box) != 1 || box[0].From != "" {
		t.Errorf("<%s> got %d messages, the first from <%s>", mailbox, len(box), box[0].From)
	}
	raw := string(box[0].Raw)
	canary.Absent(t, "a report", box[0].Raw)
	for _, want := range append(wants, "report-type=delivery-status", "Auto-Submitted: auto-replied", "Subject: Your statement\r\n") {
		if !strings.Contains(raw, want) {
			t.Errorf("the report to <%s> lacks %q:\n%s", mailbox, want, raw)
		}
	}
}

// A message that upstream refuses for good after we have said 250: its sender
// is told, once, through the same upstream, unless it said never, or is nobody,
// or is itself refused.
func TestReportOfFailure(t *testing.T) {
	t.Parallel()
	in := newInstallation(t, "refused@example.org", "anna@example.org")
	postfix := testkit.StartPostfix(t, testkit.PostfixOptions{Main: choosy})
	in.spooled(t, testkit.FreeAddr(t), "")
	in.start(t)
	canary := testkit.NewCanary(t)
	message := sampleMail(canary)
	in.envelope(t, "<told@bank.example> RET=FULL ENVID=run+2B7", "<refused@example.org> NOTIFY=FAILURE ORCPT=rfc822;Refused+40example.org", message)
	in.envelope(t, "<silent@bank.example>", "<refused@example.org> NOTIFY=NEVER", message)
	in.envelope(t, "<successful@bank.example>", "<refused@example.org> NOTIFY=SUCCESS", message)
	in.envelope(t, "<>", "<refused@example.org>", message)
	in.envelope(t, "<refused@bank.example>", "<refused@example.org>", message)
	in.envelope(t, "<fine@bank.example>", "<anna@example.org>", message)
	if n := in.queued(t); n != 6 {
		t.Fatalf("%d messages wait", n)
	}
	in.spooled(t, postfix.Addr, "")
	if !in.reload(t) {
		t.Fatal("not reloaded")
	}
	in.waitEmpty(t)
	in.report(t, postfix, canary, "told@bank.example", "Action: failed", "Status: 5.1.1", "Original-Envelope-Id: run+7",
		"Original-Recipient: rfc822; Refused@example.org", "Final-Recipient: rfc822; refused@example.org",
		"Diagnostic-Code: smtp; 550 5.1.1 ", "Reporting-MTA: dns; relay.bank.example")
	all := postfix.WaitDelivered(t, 2) // the report, and the one that was fine
	for _, d := range all {
		if d.To != "told@bank.example" && d.To != "anna@example.org" {
			t.Errorf("<%s> got\n%s", d.To, d.Raw)
		}
	}
	if len(all) != 2 {
		t.Errorf("%d messages were delivered", len(all))
	}
	if n := in.metric(t, `sealpost_queue_reports_total{action="failed"}`); n != 2 {
		t.Errorf("%v reports were written, want one to told@ and one to refused@", n)
	}
	in.nowhere(t, canary)
	if n := in.metric(t, "sealpost_queue_unreported_total"); n != 2 {
		t.Errorf("%v failures could not be told, want that of the null sender's message and that of the report to refused@", n)
	}
}

// A message that waits: its sender is told once that it does, and once when it
// is given up.
func TestReportsOfDelayAndExpiry(t *testing.T) {
	t.Parallel()
	in := newInstallation(t, "later@example.org")
	postfix := testkit.StartPostfix(t, testkit.PostfixOptions{Main: choosy})
	// Two attempts, one of them at the door, and then a long rest.
	in.spooled(t, postfix.Addr, "spool: {dir: spool, key_file: spool.key, retry: [1s, 3h], delay_notice: 4s, expire: 1h}\n")
	in.start(t)
	canary := testkit.NewCanary(t)
	message := sampleMail(canary)
	in.envelope(t, "<told@bank.example> ENVID=7", "<later@example.org> NOTIFY=DELAY,FAILURE", message)
	in.envelope(t, "<impatient@bank.example>", "<later@example.org> NOTIFY=FAILURE", message)
	in.envelope(t, "<>", "<later@example.org>", message)
	in.report(t, postfix, canary, "told@bank.example", "Action: delayed", "Status: 4.2.1", "Will-Retry-Until: ",
		"Original-Envelope-Id: 7", "Diagnostic-Code: smtp; 450 4.2.1 ")

	in.stop(t)
	in.age(t, 2*time.Hour)
	in.launch(t)
	in.waitEmpty(t)
	in.report(t, postfix, canary, "impatient@bank.example", "Action: failed", "Status: 5.4.7", "450 4.2.1 ", "X-Sealpost-Reason: message-expired")
	all := postfix.WaitDelivered(t, 3)
	if len(all) != 3 || len(postfix.Mailbox("told@bank.example")) != 2 {
		t.Errorf("%d messages were delivered, %d of them to told@bank.example", len(all), len(postfix.Mailbox("told@bank.example")))
	}
	in.nowhere(t, canary, all[1].Raw, all[2].Raw)
}

// Where upstream does not know DSN, a sender who wants to hear of success
// hears that the message was relayed, whether it waited or not.
func TestReportOfRelaying(t *testing.T) {
	t.Parallel()
	in := newInstallation(t, "anna@example.org", "bert@example.org")
	postfix := testkit.StartPostfix(t, testkit.PostfixOptions{Main: "smtpd_discard_ehlo_keywords = dsn\n"})
	in.spooled(t, testkit.FreeAddr(t), "")
	in.start(t)
	canary := testkit.NewCanary(t)
	message := sampleMail(canary)
	in.envelope(t, "<waited@bank.example> ENVID=8", "<anna@example.org> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;Anna@example.org", message)
	in.spooled(t, postfix.Addr, "")
	if !in.reload(t) {
		t.Fatal("not reloaded")
	}
	in.waitEmpty(t)
	in.report(t, postfix, canary, "waited@bank.example", "Action: relayed", "Status: 2.0.0", "Original-Envelope-Id: 8", "Original-Recipient: rfc822; Anna@example.org")

	in.envelope(t, "<through@bank.example> ENVID=9", "<bert@example.org> NOTIFY=SUCCESS", message)
	in.envelope(t, "<quiet@bank.example>", "<bert@example.org> NOTIFY=FAILURE", message)
	in.envelope(t, "<>", "<bert@example.org> NOTIFY=SUCCESS", message)
	in.report(t, postfix, canary, "through@bank.example", "Action: relayed", "Status: 2.0.0", "Original-Envelope-Id: 9", "Final-Recipient: rfc822; bert@example.org")
	in.waitEmpty(t)
	if all := postfix.WaitDelivered(t, 6); len(all) != 6 {
		t.Errorf("%d messages were delivered", len(all))
	}
	in.nowhere(t, canary)
}
