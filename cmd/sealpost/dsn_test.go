package main

import (
	"strings"
	"testing"

	"sealpost/internal/testkit"
)

// Without a queue, clients are offered DSN exactly while upstream offers it,
// and its parameters arrive there as they were given.
func TestDSNIsOfferedWhileUpstreamOffersIt(t *testing.T) {
	offers := func(in *installation) bool {
		d := dialSMTP(t, in.addr)
		return strings.Contains(d.say(t, "250", "EHLO mailer.bank.example"), "250-DSN\r\n")
	}
	t.Run("with", func(t *testing.T) {
		in := newInstallation(t, "anna@example.org")
		sink := testkit.StartSink(t, testkit.SinkOptions{})
		in.configure(t, sink.Addr, "")
		in.start(t)
		testkit.Poll(t, "DSN offered", func() bool { return offers(in) })
		d := dialSMTP(t, in.addr)
		d.say(t, "250", "MAIL FROM:<statements@bank.example> RET=HDRS ENVID=run+2B7")
		d.say(t, "250", "RCPT TO:<anna@example.org> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;Anna+40example.org")
		d.say(t, "354", "DATA")
		d.say(t, "250", "Subject: x\r\n\r\nbody\r\n.")
		got := sink.Wait(t, 1)[0]
		if got.Ret != "HDRS" || got.EnvID != "run+7" || got.To[0].ORcpt != "rfc822;Anna@example.org" ||
			strings.Join(got.To[0].Notify, ",") != "SUCCESS,FAILURE" {
			t.Errorf("upstream got %+v", got)
		}
	})
	t.Run("without", func(t *testing.T) {
		in := newInstallation(t, "anna@example.org")
		in.configure(t, testkit.StartSink(t, testkit.SinkOptions{Minimal: true}).Addr, "")
		in.start(t)
		d := dialSMTP(t, in.addr)
		if offers(in) {
			t.Error("DSN is offered, and nobody would honour it")
		}
		d.say(t, "555", "MAIL FROM:<statements@bank.example> RET=HDRS")
	})
}
