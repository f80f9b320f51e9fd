package main

import (
	"os"
	"strings"
	"syscall"
	"testing"

	"sealpost/internal/testkit"
)

// fill has upstream away and puts n messages into the spool.
func (in *installation) fill(t testing.TB, up *rogue, n int, message string) {
	t.Helper()
	up.shut()
	for i := range n {
		if got := in.mail(t, sender(i), message, "anna@example.org"); !strings.HasPrefix(got, "250 ") {
			t.Fatal(got)
		}
	}
	if got := in.queued(t); got != n {
		t.Fatalf("%d of %d messages wait", got, n)
	}
}

// eachOnce wants every one of n messages to have arrived once.
func (in *installation) eachOnce(t testing.TB, up *rogue, n int, message string) {
	t.Helper()
	got := map[string]int{}
	for _, a := range up.arrivals() {
		got[a.from]++
		in.unsealed(t, a, message)
	}
	for i := range n {
		if got[sender(i)] != 1 {
			t.Errorf("message %d arrived %d times", i, got[sender(i)])
		}
	}
}

// SIGTERM while deliveries run: those under way end, the others wait, the exit
// code is 0, and the next process sends exactly the rest.
func TestStopWhileDelivering(t *testing.T) {
	t.Parallel()
	in := newInstallation(t, "anna@example.org")
	up := startRogue(t)
	in.spooled(t, up.addr, "")
	in.start(t)
	canary := testkit.NewCanary(t)
	message := sampleMail(canary)
	const n = 60
	in.fill(t, up, n, message)
	reached, goOn, ends := make(chan bool), make(chan bool), 0
	up.feel(func(s scene) string { // called with the lock held: all others stand still too
		if s.stage != "end" {
			return ""
		}
		if ends++; ends == 10 {
			close(reached)
			<-goOn
		}
		return ""
	})
	up.open(t)
	<-reached
	in.signal(t, syscall.SIGTERM)
	testkit.Poll(t, "the stop to begin", func() bool { return !greets(in.addr) })
	close(goOn)
	<-in.ended
	if code := in.cmd.ProcessState.ExitCode(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	first := len(up.arrivals())
	if first < 10 || first == n {
		t.Errorf("%d of %d messages arrived before the stop", first, n)
	}
	in.nowhere(t, canary)
	in.launch(t)
	in.waitEmpty(t)
	in.eachOnce(t, up, n, message)
}

// A delivery that hangs does not hold up the stop, and its message stays.
func TestStopWhileUpstreamIsSilent(t *testing.T) {
	t.Parallel()
	in := newInstallation(t, "anna@example.org")
	up := startRogue(t)
	in.spooled(t, up.addr, "limits: {temp_dir: tmp, shutdown_timeout: 500ms}\n")
	in.start(t)
	message := sampleMail(testkit.NewCanary(t))
	in.fill(t, up, 1, message)
	happened := up.once("RCPT", sender(0), "silence")
	up.open(t)
	testkit.Poll(t, "a delivery", func() bool { return happened() == 1 })
	in.stop(t)
	in.launch(t)
	in.waitEmpty(t)
	in.eachOnce(t, up, 1, message)
}

// A reload with a broken file while mail waits changes nothing; a good one
// sends what waits to the new upstream.
func TestReloadWhileMailWaits(t *testing.T) {
	t.Parallel()
	in := newInstallation(t, "anna@example.org")
	up := startRogue(t)
	in.spooled(t, testkit.FreeAddr(t), "")
	in.start(t)
	message := sampleMail(testkit.NewCanary(t))
	in.fill(t, up, 5, message)
	up.open(t)
	good, err := os.ReadFile(in.config)
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{
		strings.Replace(string(good), "retry: [1s]", "retry: []", 1), strings.Replace(string(good), "dir: spool", "dir: other", 1), "\t{",
	} {
		in.write(t, "sealpost.yaml", bad)
		if in.reload(t) {
			t.Errorf("was loaded:\n%s", bad)
		}
	}
	if n := in.queued(t); n != 5 {
		t.Errorf("%d messages wait", n)
	}
	in.spooled(t, up.addr, "")
	if !in.reload(t) {
		t.Fatal("not reloaded")
	}
	in.waitEmpty(t)
	in.eachOnce(t, up, 5, message)
}
