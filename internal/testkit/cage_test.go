package testkit

import (
	"bytes"
	"net/smtp"
	"testing"
)

// plainMessage is one that a mail system may pass on without thinking.
const plainMessage = "From: bank@bank.example\r\nTo: anna@example.org\r\nSubject: x\r\nMessage-Id: <1@bank.example>\r\n" +
	"Date: Mon, 1 Jan 2024 00:00:00 +0000\r\n\r\n.dot\r\n..two\r\n\r\nblanks  \r\n\r\n"

func TestEximRelays(t *testing.T) {
	next := StartExim(t, EximOptions{TLS: NewCA(t).Issue(t, Leaf{Name: "exim.example", DNSNames: []string{"exim.example"}})})
	first := StartExim(t, EximOptions{Relay: next.Addr})
	relays(t, first.Addr, next.Sink)
	first.WaitLog(t, " K ") // by BDAT
}

func TestOpenSMTPDRelays(t *testing.T) {
	next := StartOpenSMTPD(t, OpenSMTPDOptions{TLS: NewCA(t).Issue(t, Leaf{Name: "opensmtpd.example", DNSNames: []string{"opensmtpd.example"}})})
	first := StartOpenSMTPD(t, OpenSMTPDOptions{Relay: next.Addr})
	relays(t, first.Addr, next.Sink)
}

// relays sends a message in at addr and wants it in the sink.
func relays(t *testing.T, addr string, sink *Sink) {
	t.Helper()
	to := []string{"anna@example.org", "bert@example.org"}
	if err := smtp.SendMail(addr, nil, "bank@bank.example", to, []byte(plainMessage)); err != nil {
		t.Fatal(err)
	}
	for _, m := range sink.Wait(t, 1) {
		if !bytes.HasSuffix(m.Raw, []byte(plainMessage)) || m.From != "bank@bank.example" || len(m.To) == 0 {
			t.Errorf("from %s to %v:\n%q", m.From, m.To, m.Raw)
		}
	}
}
