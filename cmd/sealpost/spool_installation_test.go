package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"sealpost/internal/certificate"
	"sealpost/internal/testkit"
	"sealpost/relay/queue"
	"sealpost/smime"
)

// spoolSection is a spool that loses no time; more is put into it.
func spoolSection(more string) string {
	return "spool: {dir: spool, key_file: spool.key, retry: [1s], patience: 2s, hold_recheck: 1s" + more + "}\n"
}

// spooled is configure with a spool.
func (in *installation) spooled(t testing.TB, upstream, extra string) {
	t.Helper()
	if !strings.Contains(extra, "spool: {") {
		extra = spoolSection("") + extra
	}
	if !strings.Contains(extra, "on_trouble:") {
		extra = "on_trouble: spool\n" + extra
	}
	in.configure(t, upstream, extra)
}

// queued is how many messages wait, in these states or in all.
func (in *installation) queued(t testing.TB, states ...queue.State) int {
	t.Helper()
	if len(states) == 0 {
		states = queue.States()
	}
	page, total := in.get(t, "/metrics"), 0 // asked once: messages change their state
	for _, s := range states {
		var n int
		_, rest, _ := strings.Cut(page, fmt.Sprintf("sealpost_queue_messages{queue=%q} ", s))
		if _, err := fmt.Sscan(rest, &n); err != nil {
			t.Fatalf("how many messages are %s: %v", s, err)
		}
		total += n
	}
	return total
}

// waitEmpty waits as long as the queue gets shorter, however slowly the machine
// has it do that.
func (in *installation) waitEmpty(t testing.TB) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	least, since := in.queued(t), time.Now()
	for n := least; n > 0; n = in.queued(t) {
		if n < least {
			least, since = n, time.Now()
		}
		if time.Since(since) > testkit.Patience {
			t.Fatalf("%d messages have waited %v in a queue that gets no shorter", n, testkit.Patience)
		}
		<-tick.C
	}
}

// away reports whether upstream counts as away.
func (in *installation) away(t testing.TB) bool {
	t.Helper()
	return in.metric(t, "sealpost_queue_upstream_away") == 1
}

// kill ends the process as a power failure would, with nothing said.
func (in *installation) kill(t testing.TB) {
	t.Helper()
	if err := in.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-in.ended
}

// mail is submit with a sender and a message that names it.
func (in *installation) mail(t testing.TB, from, message string, to ...string) string {
	t.Helper()
	d := in.dial(t)
	defer d.Close()
	d.say(t, "250", "MAIL FROM:<"+from+"> BODY=8BITMIME")
	for _, r := range to {
		d.say(t, "250", "RCPT TO:<"+r+">")
	}
	return d.data(t, message)
}

// unseal opens a sealed copy in this process, which is fast.
func (id *reader) unseal(sealed []byte) ([]byte, error) {
	return smime.Open(bytes.NewReader(sealed), smime.OpenOptions{Certificate: id.cert, Key: id.key})
}

// A reader is somebody's certificate and key.
type reader struct {
	cert *certificate.Certificate
	key  any
}

func (in *installation) reader(t testing.TB, address string) *reader {
	t.Helper()
	id := in.identity(address)
	if id == nil {
		t.Fatalf("nobody is %s", address)
	}
	cert, err := certificate.Parse(id.Cert.Raw)
	if err != nil {
		t.Fatal(err)
	}
	return &reader{cert, id.Key}
}

// unsealed wants an arrival to open to the message's entity.
func (in *installation) unsealed(t testing.TB, a arrival, message string) {
	t.Helper()
	got, err := in.reader(t, a.to).unseal(a.raw)
	if err != nil || string(got) != entityOf(message) {
		t.Errorf("<%s> for <%s> opened, %v:\n%.400q\nwant\n%.400q", a.from, a.to, err, got, entityOf(message))
	}
}
