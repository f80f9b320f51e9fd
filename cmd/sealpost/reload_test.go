package main

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"sealpost/internal/testkit"
)

const reloadSuccessful = "sealpost_config_last_reload_successful"

// A file with mistakes changes nothing, and the log says which line is wrong.
func TestReloadOfABadFile(t *testing.T) {
	in := newInstallation(t, "anna@example.org")
	sink := testkit.StartSink(t, testkit.SinkOptions{})
	in.configure(t, sink.Addr, "")
	in.start(t)
	if n := in.metric(t, reloadSuccessful); n != 1 {
		t.Errorf("after the start: %v", n)
	}
	good, err := os.ReadFile(in.config)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Count(string(good), "\n")
	for name, bad := range map[string]string{
		"unknown key":      string(good) + "polcy: []\n",
		"not YAML":         string(good) + "\t{\n",
		"nothing":          "",
		"another listener": strings.Replace(string(good), "networks: [127.0.0.0/8]", "networks: [127.0.0.0/8]\n  - {address: \"127.0.0.1:0\", networks: [127.0.0.1]}", 1),
		"another hostname": strings.Replace(string(good), "relay.bank.example", "other.bank.example", 1),
	} {
		in.write(t, "sealpost.yaml", bad)
		if in.reload(t) {
			t.Errorf("%s: was loaded", name)
		}
		if n := in.metric(t, reloadSuccessful); n != 0 {
			t.Errorf("%s: the metric is %v", name, n)
		}
		if got := in.dial(t).submit(t, sampleMail(testkit.NewCanary(t)), "anna@example.org"); !strings.HasPrefix(got, "250") {
			t.Errorf("%s: %s", name, got)
		}
	}
	in.waitLog(t, "not reloaded", in.config+":"+strconv.Itoa(lines+1)+": polcy: ")
	in.waitLog(t, "not reloaded", "restart to apply it")
	if err := os.Remove(in.config); err != nil {
		t.Fatal(err)
	}
	if in.reload(t) {
		t.Error("a file that is not there was loaded")
	}
	in.write(t, "sealpost.yaml", string(good))
	if !in.reload(t) || in.metric(t, reloadSuccessful) != 1 {
		t.Error("the good file is not in force again")
	}
}

// A new policy holds from the next MAIL on; a transaction that is open keeps
// the old one.
func TestReloadedPolicyHoldsFromTheNextMail(t *testing.T) {
	in := newInstallation(t, "anna@example.org")
	sink := testkit.StartSink(t, testkit.SinkOptions{})
	in.configure(t, sink.Addr, "policy:\n  - {name: before}\n")
	in.start(t)
	canary := testkit.NewCanary(t)
	message := sampleMail(canary)
	d := in.dial(t)
	d.say(t, "250", "MAIL FROM:<statements@bank.example> BODY=8BITMIME")
	d.say(t, "250", "RCPT TO:<anna@example.org>")

	in.configure(t, sink.Addr, "policy:\n  - {name: open, recipient: \"*@open.example\", encrypt: never}\n  - {name: after, recipient: \"*@example.net\"}\n")
	if !in.reload(t) {
		t.Fatal("not reloaded")
	}
	d.say(t, "550", "RCPT TO:<nobody@open.example>") // still the old policy: no certificate
	if got := d.data(t, message); !strings.HasPrefix(got, "250") {
		t.Fatal(got)
	}
	in.waitLog(t, "msg=recipient", "rule=before", "action=sealed")
	in.opened(t, sink.Wait(t, 1)[0].Raw, "anna@example.org", message)
	in.nowhere(t, canary, sink.Wire())

	d.say(t, "250", "MAIL FROM:<statements@bank.example>")
	if got := d.say(t, "550 5.7.1", "RCPT TO:<anna@example.org>"); !strings.HasSuffix(got, "(policy-no-rule)\r\n") {
		t.Error(got)
	}
	d.say(t, "250", "RCPT TO:<nobody@open.example>")
	if n := in.metric(t, `sealpost_plaintext_recipients_total{rule="open"}`); n != 0 {
		t.Errorf("the new rule's series is not there from the start: %v", n)
	}
}

// What was looked up before stays known over a reload: a certificate renewal
// by SIGHUP must not make a directory that is down felt.
func TestReloadKeepsWhatWasLookedUp(t *testing.T) {
	in := newInstallation(t)
	in.enroll("anna@example.org", in.ca.For(t, "anna@example.org"))
	keys := newKeyserver(t, in)
	sink := testkit.StartSink(t, testkit.SinkOptions{})
	in.configure(t, sink.Addr, "lookup:\n  timeout: 500ms\n  sources:\n"+keys.source(""))
	in.start(t)
	message := sampleMail(testkit.NewCanary(t))
	d := in.dial(t)
	if got := d.submit(t, message, "anna@example.org"); !strings.HasPrefix(got, "250") {
		t.Fatal(got)
	}
	keys.Close()
	if !in.reload(t) {
		t.Fatal("not reloaded")
	}
	if got := d.submit(t, message, "anna@example.org"); !strings.HasPrefix(got, "250") {
		t.Fatal(got)
	}
}
