package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sealpost/internal/testkit"
	"sealpost/relay/queue"
)

const holdPolicy = "policy:\n  - {name: wait, no_key: hold}\n"

// A message for somebody without a certificate waits, sealed, until a file
// appears in certs/, and then goes out encrypted to it.
func TestHeldUntilTheFileIsThere(t *testing.T) {
	t.Parallel()
	in := newInstallation(t, "bert@example.org")
	up := startRogue(t)
	in.spooled(t, up.addr, holdPolicy)
	in.start(t)
	canary := testkit.NewCanary(t)
	message := sampleMail(canary)
	if got := in.mail(t, "statements@bank.example", message, "anna@example.org", "bert@example.org"); !strings.HasPrefix(got, "250 ") {
		t.Fatal(got)
	}
	if a := up.wait(t, 1)[0]; a.to != "bert@example.org" {
		t.Errorf("<%s> has the first copy", a.to)
	}
	in.waitLog(t, "msg=recipient", "to=<anna@example.org>", "reason=no-certificate")
	if n := in.queued(t, queue.NoKey); n != 1 {
		t.Errorf("%d messages wait for a key", n)
	}
	in.kill(t)
	in.nowhere(t, canary)
	in.launch(t)
	in.person(t, "anna@example.org")
	in.unsealed(t, up.wait(t, 2)[1], message)
	in.waitEmpty(t)
	if n := len(up.arrivals()); n != 2 {
		t.Errorf("%d copies arrived", n)
	}
	in.nowhere(t, canary, up.arrivals()[1].raw)
}

// A directory that is down has not said that there is no certificate: nothing
// is held on its word, and what was held is neither given up nor let go while
// it is down.
func TestDirectoryDownIsNotNone(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	var down atomic.Bool
	keys := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if down.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.WriteHeader(http.StatusNotFound)
	}))
	defer keys.Close()
	up := startRogue(t)
	in.spooled(t, up.addr, holdPolicy+`lookup:
  timeout: 2s
  sources:
    - {name: pinned, type: files, dir: certs}
    - {name: keys, type: http, url: "`+keys.URL+`/{address}", trust: source}
  cache: {entries: 0}
`)
	in.start(t)
	canary := testkit.NewCanary(t)
	message := sampleMail(canary)
	if got := in.mail(t, "statements@bank.example", message, "anna@example.org"); !strings.HasPrefix(got, "250 ") {
		t.Fatal(got)
	}
	down.Store(true)
	d := in.dial(t)
	d.say(t, "250", "MAIL FROM:<statements@bank.example>")
	if got := d.say(t, "451", "RCPT TO:<carl@example.org>"); !strings.HasSuffix(got, "(lookup-unavailable)\r\n") {
		t.Error(got)
	}
	in.waitLog(t, "msg=recipient", "to=<anna@example.org>", "attempts=1", "reason=lookup-unavailable")
	if n := in.queued(t, queue.NoKey); n != 1 || len(up.arrivals()) != 0 {
		t.Errorf("%d messages wait for a key, %d arrived", n, len(up.arrivals()))
	}
	in.person(t, "anna@example.org")
	in.unsealed(t, up.wait(t, 1)[0], message)
	in.waitEmpty(t)
	in.nowhere(t, canary, up.arrivals()[0].raw)
}

// A message whose certificate never comes is given up, and its sender hears
// why.
func TestHeldTooLong(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	up := startRogue(t)
	in.spooled(t, up.addr, spoolSection(", hold_expire: 1h")+holdPolicy)
	in.start(t)
	canary := testkit.NewCanary(t)
	for _, from := range []string{"statements@bank.example", ""} {
		if got := in.mail(t, from, sampleMail(canary), "anna@example.org"); !strings.HasPrefix(got, "250 ") {
			t.Fatal(got)
		}
	}
	in.stop(t)
	in.age(t, 2*time.Hour)
	in.launch(t)
	in.waitEmpty(t)
	all := up.wait(t, 1)
	if len(all) != 1 || all[0].from != "" || all[0].to != "statements@bank.example" {
		t.Fatalf("%d messages left, the first from <%s> to <%s>", len(all), all[0].from, all[0].to)
	}
	for _, want := range []string{"Action: failed", "Status: 5.7.1", "Final-Recipient: rfc822; anna@example.org", "X-Sealpost-Reason: no-certificate"} {
		if !strings.Contains(string(all[0].raw), want) {
			t.Errorf("the report lacks %q:\n%s", want, all[0].raw)
		}
	}
	in.nowhere(t, canary, all[0].raw)
}
