package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"sealpost/internal/testkit"
)

// bdat sends a message as it is, in chunks of this size, and gives the answer.
func (d *dialog) bdat(t testing.TB, message string, size int) string {
	t.Helper()
	for len(message) > size {
		d.send(t, fmt.Sprintf("BDAT %d\r\n%s", size, message[:size]))
		d.expect(t, "250 2.0.0 Chunk received")
		message = message[size:]
	}
	d.send(t, fmt.Sprintf("BDAT %d LAST\r\n%s", len(message), message))
	return d.reply(t)
}

// Binary content is sealed byte for byte, for an upstream that never heard of
// it; in the clear it goes only where it is taken.
func TestBinaryMIME(t *testing.T) {
	in := newInstallation(t, "anna@example.org")
	postfix := testkit.StartPostfix(t, testkit.PostfixOptions{})
	sink := testkit.StartSink(t, testkit.SinkOptions{Lenient: true})
	policy := "policy:\n  - {name: open, sender: \"*@open.example\", encrypt: never}\n  - {name: default}\n"
	const canary = "canary-of-binary"
	message := "From: statements@bank.example\r\nSubject: binary\r\nMIME-Version: 1.0\r\nContent-Type: application/octet-stream\r\n" +
		"Content-Transfer-Encoding: binary\r\n\r\n" + strings.Repeat("\x00\r\n.\r\n\rbare\n\xff"+canary+"\r\r\n", 3000) + "no line end"
	send := func(d *dialog, from string, size int) string {
		d.say(t, "250", "MAIL FROM:<"+from+"> BODY=BINARYMIME")
		d.say(t, "250", "RCPT TO:<anna@example.org>")
		d.say(t, "503", "DATA")
		return d.bdat(t, message, size)
	}
	in.configure(t, postfix.Addr, policy)
	in.start(t)
	d := in.dial(t)
	for _, size := range []int{len(message), 1000} {
		if got := send(d, "statements@bank.example", size); !strings.HasPrefix(got, "250 ") {
			t.Fatal(got)
		}
	}
	want := []byte("MIME-Version: 1.0\r\n" + message[strings.Index(message, "Content-Type:"):])
	for _, out := range postfix.WaitDelivered(t, 2) {
		if got := testkit.OpenSSLOpen(t, out.Raw, in.people["anna@example.org"]); !bytes.Equal(got, want) {
			t.Errorf("%d bytes were sealed, another %d were opened", len(want), len(got))
		}
		testkit.Canary(canary).Absent(t, "what went out", out.Raw)
	}
	if got := send(d, "report@open.example", 1000); !strings.HasPrefix(got, "554 5.6.3 ") {
		t.Errorf("in the clear, to Postfix: %s", got)
	}
	in.configure(t, sink.Addr, policy)
	if !in.reload(t) {
		t.Fatal("not reloaded")
	}
	if got := send(d, "report@open.example", 1000); !strings.HasPrefix(got, "250 ") {
		t.Errorf("in the clear, to one that takes it: %s", got)
	}
	if m := sink.Wait(t, 1)[0]; m.Body != "BINARYMIME" || !bytes.HasSuffix(m.Raw, []byte(message)) {
		t.Errorf("BODY=%s, %d bytes", m.Body, len(m.Raw))
	}
}

// REQUIRETLS (RFC 8689) is kept to the next server, or the message stays here.
func TestRequireTLSIsKept(t *testing.T) {
	in := newInstallation(t, "anna@example.org")
	message := sampleMail(testkit.NewCanary(t))
	const verified = "tls: require, tls_roots: [root.pem]"
	for _, c := range []struct {
		name, tls string
		sink      testkit.SinkOptions
		want      string
	}{
		{"kept", verified, testkit.SinkOptions{TLS: in.ca.ServerTLS(t)}, "250 "},
		{"not offered", verified, testkit.SinkOptions{TLS: in.ca.ServerTLS(t), Minimal: true}, "550 5.7.30 "},
		{"a stranger", verified, testkit.SinkOptions{TLS: testkit.NewCA(t).ServerTLS(t)}, "451 4.7.5 "},
		{"a stranger, opportunistic", "tls: opportunistic", testkit.SinkOptions{TLS: testkit.NewCA(t).ServerTLS(t)}, "550 5.7.30 "},
		{"no TLS", "tls: opportunistic", testkit.SinkOptions{}, "550 5.7.30 "},
	} {
		t.Run(c.name, func(t *testing.T) {
			sink := testkit.StartSink(t, c.sink)
			in.serverCertificate(t)
			in.configure(t, "", "upstream:\n  - {address: \""+sink.Addr+"\", "+c.tls+"}\n"+
				"listen:\n  - {address: \""+in.addr+"\", networks: [127.0.0.0/8], tls: {mode: starttls, cert: relay.pem, key: relay.key}}\n")
			in.start(t)
			defer in.stop(t)
			d := in.dial(t)
			d.say(t, "555 5.5.4", "MAIL FROM:<statements@bank.example> REQUIRETLS") // TLS comes first
			d = in.startTLS(t, d)
			d.say(t, "250", "MAIL FROM:<statements@bank.example> BODY=8BITMIME REQUIRETLS")
			d.say(t, "250", "RCPT TO:<anna@example.org>")
			if got := d.data(t, message); !strings.HasPrefix(got, c.want) {
				t.Fatalf("got %s, want %s", got, c.want)
			}
			if c.want != "250 " {
				if n := len(sink.Messages()); n != 0 {
					t.Errorf("%d messages went out", n)
				}
				return
			}
			if m := sink.Wait(t, 1)[0]; !m.RequireTLS || !m.TLS {
				t.Errorf("REQUIRETLS %v, TLS %v", m.RequireTLS, m.TLS)
			}
		})
	}
}

// What is normalised is normalised before it is sealed; and a line may be as
// long as it likes.
func TestLinesOfAnyKindAreSealed(t *testing.T) {
	in := newInstallation(t, "anna@example.org")
	postfix := testkit.StartPostfix(t, testkit.PostfixOptions{Main: "message_size_limit = 20000000\n"})
	in.configure(t, postfix.Addr, "listen:\n  - {address: \""+in.addr+"\", networks: [127.0.0.0/8], bare_newline: normalize}\n")
	in.start(t)
	d := in.dial(t)
	const head = "From: statements@bank.example\r\nSubject: lines\r\n"
	bodies := map[string]string{
		"one\ntwo\rthree\r\r\nfour\n\rfive\r\n":        "one\r\ntwo\r\nthree\r\n\r\nfour\r\n\r\nfive\r\n",
		strings.Repeat("long ", 1<<20) + "\r\n":        "",
		".\n..\n" + strings.Repeat(".", 5000) + "\r\n": ".\r\n..\r\n" + strings.Repeat(".", 5000) + "\r\n",
	}
	sent := 0
	for body, want := range bodies {
		if want == "" {
			want = body
		}
		message := head + "Content-Type: text/plain\r\n\r\n"
		for _, how := range []func() string{
			func() string { return d.bdat(t, message+body, 700) },
			func() string { return d.data(t, message+body) },
		} {
			d.say(t, "250", "MAIL FROM:<statements@bank.example>")
			d.say(t, "250", "RCPT TO:<anna@example.org>")
			if got := how(); !strings.HasPrefix(got, "250 ") {
				t.Fatalf("%.40q: %s", body, got)
			}
			sent++
			in.opened(t, postfix.WaitDelivered(t, sent)[sent-1].Raw, "anna@example.org", message+want)
		}
	}
}
