package main

import (
	"bytes"
	"strings"
	"testing"

	"sealpost/internal/testkit"
)

// The smarthost of docs/postfix.md: a mailer sends to Sealpost, Postfix is
// upstream.
func TestSmarthostIntoPostfix(t *testing.T) {
	in := newInstallation(t, "anna@example.org", "auditor@bank.example")
	reinject := testkit.FreeAddr(t)
	recipe := testkit.PostfixRecipe(t, "smarthost").With(t, "127.0.0.1:10026", reinject,
		"10.0.0.5:25", in.addr, "10.0.0.0/24", "127.0.0.0/8")
	postfix := testkit.StartPostfix(t, testkit.PostfixOptions{Main: recipe.Main, Master: recipe.Master})
	in.write(t, "sealpost.yaml", recipe.Sealpost+"metrics: {address: \""+in.monitor+"\"}\n")
	in.start(t)

	canary := testkit.NewCanary(t)
	message := sampleMail(canary)
	out := swaks(t, in.addr, message, "--to", "anna@example.org,auditor@bank.example")
	if !strings.Contains(out, "queued as") {
		t.Errorf("swaks did not hear our id:\n%s", out)
	}
	for _, d := range postfix.WaitDelivered(t, 2) {
		in.opened(t, d.Raw, d.To, message)
		in.nowhere(t, canary, d.Raw)
		if d.To == "anna@example.org" && bytes.Contains(d.Raw, []byte("auditor")) {
			t.Error("Anna's copy names the hidden recipient")
		}
	}
	in.waitLog(t, `"to":"<anna@example.org>"`, `"relay":"`+reinject, `"status":"sent (250 2.0.0`, `"dsn":"2.0.0"`, `"rule":"default"`, `"action":"sealed"`, `"cipher":"aes-256-cbc"`, `"upstream_id":"`)
}

// The content filter of docs/postfix.md: Postfix accepts, filters through
// Sealpost, and delivers what comes back.
func TestPostfixContentFilter(t *testing.T) {
	in := newInstallation(t, "anna@example.org", "bert@example.org")
	reinject := testkit.FreeAddr(t)
	recipe := testkit.PostfixRecipe(t, "filter").With(t, "127.0.0.1:10025", in.addr, "127.0.0.1:10026", reinject)
	postfix := testkit.StartPostfix(t, testkit.PostfixOptions{Main: recipe.Main, Master: recipe.Master})
	in.write(t, "sealpost.yaml", recipe.Sealpost+"metrics: {address: \""+in.monitor+"\"}\n")
	in.start(t)

	canary := testkit.NewCanary(t)
	message := sampleMail(canary)
	d := dialSMTP(t, postfix.Addr)
	if got := d.submit(t, message, "anna@example.org", "bert@example.org", "teller@bank.example"); !strings.HasPrefix(got, "250") {
		t.Fatal(got)
	}
	for _, got := range postfix.WaitDelivered(t, 3) {
		if got.To == "teller@bank.example" {
			if !bytes.HasSuffix(got.Raw, []byte(message[strings.Index(message, "MIME-Version"):])) {
				t.Errorf("our own mail was changed:\n%s", got.Raw)
			}
			continue
		}
		in.opened(t, got.Raw, got.To, message)
		in.nowhere(t, canary, got.Raw)
		if bytes.Contains(got.Raw, []byte("auditor")) || bytes.Contains(got.Raw, []byte("\nBcc:")) {
			t.Errorf("Bcc is seen:\n%.1000s", got.Raw)
		}
	}
}

// Without a certificate Postfix bounces to the sender, and the bounce does not
// show the content; with a directory that is down it keeps the message.
func TestPostfixHearsWhy(t *testing.T) {
	in := newInstallation(t)
	reinject := testkit.FreeAddr(t)
	recipe := testkit.PostfixRecipe(t, "filter").With(t, "127.0.0.1:10025", in.addr, "127.0.0.1:10026", reinject)
	postfix := testkit.StartPostfix(t, testkit.PostfixOptions{Main: recipe.Main, Master: recipe.Master})
	in.configure(t, reinject, `lookup:
  sources:
    - {name: pinned, type: files, dir: certs}
    - {name: keys, type: http, url: "http://127.0.0.1:1/{address}", trust: source}
policy:
  - {name: own, recipient: "*@bank.example", encrypt: never}
  - {name: default}
`)
	in.start(t)
	canary := testkit.NewCanary(t)
	dialSMTP(t, postfix.Addr).submit(t, sampleMail(canary), "later@example.org")
	postfix.WaitLog(t, "lookup-unavailable")
	if !strings.Contains(postfix.Queue(t), "later@example.org") {
		t.Error("Postfix did not keep the message")
	}
	if n := len(postfix.Mailbox("later@example.org")); n != 0 {
		t.Errorf("delivered %d times without a key", n)
	}
	in.nowhere(t, canary)
}
