package main

import (
	"net"
	"strings"
	"testing"

	"sealpost/internal/testkit"
)

// Whatever the directory does but answer: the client hears 451, nothing leaves
// in the clear though the rule would let it, and the process goes on.
func TestDirectoryInTrouble(t *testing.T) {
	in := newInstallation(t)
	keys := newKeyserver(t, in)
	in.enroll("other@example.org", in.ca.For(t, "other@example.org"))
	for _, kind := range troubles {
		in.enroll("p-"+kind+"@example.org", in.ca.For(t, "p-"+kind+"@example.org"))
	}
	sink := testkit.StartSink(t, testkit.SinkOptions{})
	in.configure(t, sink.Addr, "lookup:\n  timeout: 500ms\n  sources:\n"+keys.source("")+`policy:
  - {name: strict, recipient: "*@strict.example", no_key: reject}
  - {name: lax, no_key: plaintext}
`)
	in.start(t)
	canary := testkit.NewCanary(t)
	message := sampleMail(canary)
	d := in.dial(t)
	for _, kind := range troubles {
		d.say(t, "250", "MAIL FROM:<statements@bank.example> BODY=8BITMIME")
		if got := d.say(t, "451 4.4.3", "RCPT TO:<"+kind+"@trouble.example>"); !strings.HasSuffix(got, "(lookup-unavailable)\r\n") {
			t.Errorf("%s: %s", kind, got)
		}
		// Somebody who was not asked for before: the source answers in between, and so is not away.
		d.say(t, "250", "RCPT TO:<p-"+kind+"@example.org>")
		if got := d.data(t, message); !strings.HasPrefix(got, "250") {
			t.Errorf("%s: %s", kind, got)
		}
	}
	for _, m := range sink.Wait(t, len(troubles)) {
		in.opened(t, m.Raw, m.To[0].Address, message)
	}
	in.nowhere(t, canary, sink.Wire())
	if n := in.metric(t, `sealpost_lookup_failures_total{source="keys"}`); n != float64(len(troubles)) {
		t.Errorf("%v failures are counted, %d were made", n, len(troubles))
	}
	if n := in.metric(t, `sealpost_plaintext_recipients_total{rule="lax"}`); n != 0 {
		t.Errorf("%v recipients in the clear", n)
	}

	// Only a 404 says that there is none, and then the rule decides.
	d.say(t, "250", "MAIL FROM:<statements@bank.example> BODY=8BITMIME")
	d.say(t, "550 5.7.1 <nobody@strict.example>", "RCPT TO:<nobody@strict.example>")
	d.say(t, "250", "RSET")
	if got := d.submit(t, message, "nobody@example.org"); !strings.HasPrefix(got, "250") {
		t.Fatal(got)
	}
	last := sink.Wait(t, len(troubles)+1)[len(troubles)]
	if !strings.HasSuffix(string(last.Raw), message) {
		t.Errorf("what a rule lets pass was changed:\n%s", last.Raw)
	}
	if n := in.metric(t, `sealpost_plaintext_recipients_total{rule="lax"}`); n != 1 {
		t.Errorf("%v recipients in the clear are counted, want 1", n)
	}
}

// Nobody listens; a firewall swallows everything; the name does not exist.
func TestDirectoryIsAway(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts, and never answers
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	for name, url := range map[string]string{
		"nobody listens": "http://" + testkit.FreeAddr(t), "no answer": "http://" + silent.Addr().String(),
		"no such host": "https://keys.invalid", "no TLS there": "https://" + silent.Addr().String(),
	} {
		t.Run(name, func(t *testing.T) {
			in := newInstallation(t)
			sink := testkit.StartSink(t, testkit.SinkOptions{})
			in.configure(t, sink.Addr, `lookup:
  timeout: 300ms
  sources:
    - {name: keys, type: http, url: "`+url+`/{address}", trust: source}
policy:
  - {name: default, no_key: plaintext}
`)
			in.start(t)
			d := in.dial(t)
			d.say(t, "250", "MAIL FROM:<statements@bank.example>")
			d.say(t, "451 4.4.3", "RCPT TO:<anna@example.org>")
			d.say(t, "554", "DATA")
			if n := len(sink.Messages()); n != 0 {
				t.Errorf("%d messages went out", n)
			}
		})
	}
}

// A recipient who was looked up before still gets mail, sealed, for as long as
// stale answers are allowed; others do not.
func TestCachedRecipientOutlivesTheDirectory(t *testing.T) {
	in := newInstallation(t)
	in.enroll("anna@example.org", in.ca.For(t, "anna@example.org"))
	keys := newKeyserver(t, in)
	sink := testkit.StartSink(t, testkit.SinkOptions{})
	in.configure(t, sink.Addr, "lookup:\n  timeout: 500ms\n  cache: {ttl: 1s, stale: 1h}\n  sources:\n"+keys.source("")+
		"policy:\n  - {name: default, no_key: plaintext}\n")
	in.start(t)
	canary := testkit.NewCanary(t)
	message := sampleMail(canary)
	d := in.dial(t)
	if got := d.submit(t, message, "anna@example.org"); !strings.HasPrefix(got, "250") {
		t.Fatal(got)
	}
	keys.Close()
	sent := 1
	testkit.Poll(t, "an answer past its time", func() bool {
		if got := d.submit(t, message, "anna@example.org"); !strings.HasPrefix(got, "250") {
			t.Fatal(got)
		}
		sent++
		return in.metric(t, `sealpost_lookup_stale_answers_total{source="keys"}`) > 0
	})
	d.say(t, "250", "MAIL FROM:<statements@bank.example>")
	d.say(t, "451 4.4.3", "RCPT TO:<new@example.org>")
	for _, m := range sink.Wait(t, sent) {
		in.opened(t, m.Raw, "anna@example.org", message)
	}
	in.nowhere(t, canary, sink.Wire())
}

// A source that hangs does not keep a later one from answering, and a source
// may have a longer time of its own.
func TestEachSourceHasItsTime(t *testing.T) {
	in := newInstallation(t, "slow@trouble.example", "other@example.org")
	keys := newKeyserver(t, in)
	sink := testkit.StartSink(t, testkit.SinkOptions{})
	in.configure(t, sink.Addr, "lookup:\n  timeout: 200ms\n  sources:\n"+keys.source(", timeout: 400ms")+
		"    - {name: pinned, type: files, dir: certs}\n")
	in.start(t)
	canary := testkit.NewCanary(t)
	message := sampleMail(canary)
	if got := in.dial(t).submit(t, message, "slow@trouble.example"); !strings.HasPrefix(got, "250") {
		t.Fatal(got)
	}
	in.opened(t, sink.Wait(t, 1)[0].Raw, "slow@trouble.example", message)
}
