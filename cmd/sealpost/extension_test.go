package main

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"strings"
	"testing"

	"sealpost/internal/testkit"
)

// utf8Mailbox gives a certificate the name of RFC 9598.
func utf8Mailbox(t testing.TB, mailbox string) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		san := testkit.TLV(0x30, testkit.SmtpUTF8Mailbox(t, mailbox))
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: san}}
	}
}

// An internationalised sender and recipient, end to end.
func TestSMTPUTF8(t *testing.T) {
	in := newInstallation(t)
	const to = "jürgen@bücher.example"
	in.enroll(to, in.ca.Issue(t, testkit.Leaf{Name: "Jürgen", Addresses: []string{}, Change: utf8Mailbox(t, to)}))
	in.write(t, "certs/jürgen@xn--bcher-kva.example.pem", string(in.people[to].CertPEM))
	sink := testkit.StartSink(t, testkit.SinkOptions{})
	in.configure(t, sink.Addr, "")
	in.start(t)
	message := sampleMail(testkit.NewCanary(t))
	d := in.dial(t)
	d.say(t, "553", "MAIL FROM:<kontoauszüge@bank.example>")
	d.say(t, "250", "MAIL FROM:<kontoauszüge@bank.example> SMTPUTF8 BODY=8BITMIME")
	d.say(t, "250", "RCPT TO:<"+to+">")
	if got := d.data(t, message); !strings.HasPrefix(got, "250") {
		t.Fatal(got)
	}
	m := sink.Wait(t, 1)[0]
	if m.From != "kontoauszüge@bank.example" || m.To[0].Address != to || !m.UTF8 {
		t.Errorf("upstream got <%s> to <%s>, SMTPUTF8 %v", m.From, m.To[0].Address, m.UTF8)
	}
	if !bytes.Contains(m.Raw, []byte(" with UTF8SMTP id ")) {
		t.Errorf("Received does not say UTF8SMTP:\n%.300s", m.Raw)
	}
	in.opened(t, m.Raw, to, message)
}

// An upstream without the extension gets nothing that needs it.
func TestUpstreamLacksExtensions(t *testing.T) {
	in := newInstallation(t, "anna@example.org")
	sink := testkit.StartSink(t, testkit.SinkOptions{HeloOnly: true})
	in.configure(t, sink.Addr, "policy:\n  - {name: open, recipient: \"*@open.example\", encrypt: never}\n  - {name: default}\n")
	in.start(t)
	message := sampleMail(testkit.NewCanary(t)) // has 8-bit text
	d := in.dial(t)
	if got := d.submit(t, message, "anna@example.org"); !strings.HasPrefix(got, "250") {
		t.Errorf("a sealed message needs no extension: %s", got)
	}
	in.opened(t, sink.Wait(t, 1)[0].Raw, "anna@example.org", message)
	if got := d.submit(t, message, "bert@open.example"); !strings.HasPrefix(got, "554 5.6.3") || !strings.HasSuffix(got, "(upstream-lacks-extension)\r\n") {
		t.Errorf("8-bit content in the clear: %s", got)
	}
	d.say(t, "250", "MAIL FROM:<ü@bank.example> SMTPUTF8")
	d.say(t, "250", "RCPT TO:<anna@example.org>")
	if got := d.data(t, message); !strings.HasPrefix(got, "550 5.6.7") {
		t.Errorf("an internationalised sender: %s", got)
	}
	if n := len(sink.Messages()); n != 1 {
		t.Errorf("%d messages went out, want 1", n)
	}
}

// SIZE is refused at MAIL, and what lied about its size at the end of the data.
func TestSize(t *testing.T) {
	in := newInstallation(t, "anna@example.org")
	sink := testkit.StartSink(t, testkit.SinkOptions{})
	in.configure(t, sink.Addr, "limits: {message_size: 64KiB, recipients: 3, temp_dir: tmp}\n")
	in.start(t)
	d := in.dial(t)
	if got := d.say(t, "250", "EHLO mailer.bank.example"); !strings.Contains(got, "SIZE 65536\r\n") {
		t.Errorf("EHLO: %q", got)
	}
	d.say(t, "552 5.3.4", "MAIL FROM:<statements@bank.example> SIZE=65537")
	d.say(t, "250", "MAIL FROM:<statements@bank.example> SIZE=65536")
	d.say(t, "250", "RCPT TO:<anna@example.org>")
	if got := d.data(t, "Subject: x\r\n\r\n"+strings.Repeat("12345678\r\n", 7000)); !strings.HasPrefix(got, "552 5.3.4") {
		t.Error(got)
	}
	d.say(t, "250", "MAIL FROM:<statements@bank.example>")
	for range 3 {
		d.say(t, "250", "RCPT TO:<anna@example.org>")
	}
	d.say(t, "452 4.5.3", "RCPT TO:<anna@example.org>")
	if n := len(sink.Messages()); n != 0 {
		t.Errorf("%d messages went out", n)
	}
}
