package main

import (
	"strings"
	"testing"

	"sealpost/internal/testkit"
)

// Postfix hangs up on an idle connection; the next message does not suffer
// from it, nor does it come twice.
func TestPostfixHangsUpOnIdleConnections(t *testing.T) {
	in := newInstallation(t, "anna@example.org")
	postfix := testkit.StartPostfix(t, testkit.PostfixOptions{Main: "smtpd_timeout = 1s\n"})
	in.configure(t, postfix.Addr, "on_trouble: defer\n")
	in.start(t)
	canary := testkit.NewCanary(t)
	message := sampleMail(canary)
	for i := range 2 {
		if got := in.dial(t).submit(t, message, "anna@example.org"); !strings.HasPrefix(got, "250 ") {
			t.Fatal(got)
		}
		testkit.Poll(t, "Postfix to lose patience", func() bool {
			return strings.Count(postfix.Log(t), "timeout after ") > i
		})
	}
	if n := len(postfix.WaitDelivered(t, 2)); n != 2 {
		t.Errorf("%d messages were delivered", n)
	}
}

// A connection carries as many messages as it may, and no more.
func TestConnectionsAreReusedWithinTheirLimit(t *testing.T) {
	in := newInstallation(t, "anna@example.org")
	postfix := testkit.StartPostfix(t, testkit.PostfixOptions{})
	in.configure(t, postfix.Addr, "limits: {temp_dir: tmp, upstream: {messages_per_connection: 3}}\n")
	in.start(t)
	d := in.dial(t)
	for range 6 {
		if got := d.submit(t, sampleMail(testkit.NewCanary(t)), "anna@example.org"); !strings.HasPrefix(got, "250 ") {
			t.Fatal(got)
		}
	}
	testkit.Poll(t, "two connections of three messages", func() bool {
		return strings.Count(postfix.Log(t), " mail=3 rcpt=3 bdat=3 ") == 2
	})
}
