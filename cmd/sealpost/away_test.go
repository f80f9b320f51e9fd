package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"sealpost/internal/testkit"
)

// A source that is away is told of by the log, once, by the metrics and by
// `sealpost health`; the relay stays ready, and mail that does not need the
// source goes on at its usual speed.
func TestSourceIsAway(t *testing.T) {
	in := newInstallation(t, "anna@example.org")
	keys := newKeyserver(t, in)
	sink := testkit.StartSink(t, testkit.SinkOptions{})
	in.configure(t, sink.Addr, "lookup:\n  timeout: 200ms\n  sources:\n    - {name: pinned, type: files, dir: certs}\n"+keys.source(""))
	in.start(t)
	const up = `sealpost_lookup_source_up{source="keys"}`
	if n := in.metric(t, up); n != 1 {
		t.Errorf("at the start: %v", n)
	}
	d := in.dial(t)
	d.say(t, "250", "MAIL FROM:<statements@bank.example>")
	d.say(t, "550", "RCPT TO:<nobody@example.org>")
	if n := in.metric(t, `sealpost_lookup_source_last_success_timestamp_seconds{source="keys"}`); time.Since(time.UnixMilli(int64(n*1000))) > time.Minute {
		t.Errorf("the last success was at %v", n)
	}
	keys.Close()
	for i := range 40 {
		d.say(t, "451 4.4.3", fmt.Sprintf("RCPT TO:<p%d@example.org>", i))
	}
	for series, want := range map[string]float64{
		up: 0, `sealpost_lookup_source_up{source="pinned"}`: 1, `sealpost_lookups_total{source="keys"}`: 41, `sealpost_lookup_failures_total{source="keys"}`: 40,
	} {
		if n := in.metric(t, series); n != want {
			t.Errorf("%s is %v, want %v", series, n, want)
		}
	}
	if n := in.metric(t, `sealpost_lookup_skipped_total{source="keys"}`); n < 30 {
		t.Errorf("%v lookups were skipped", n)
	}
	if n := strings.Count(in.log(t), "lookup source is away"); n != 1 {
		t.Errorf("the log says %d times that the source is away", n)
	}
	d.say(t, "250", "RSET")
	if got := d.submit(t, sampleMail(testkit.NewCanary(t)), "anna@example.org"); !strings.HasPrefix(got, "250") {
		t.Error(got)
	}
	out, errs, code := sealpost(t, "", "health", "--config", in.config, "--verbose")
	if code != exitOK || !strings.HasPrefix(out, "OK: ") || !strings.Contains(out, "\nsource pinned: up since ") || !strings.Contains(out, "\nsource keys: down since ") || !strings.Contains(out, "failures since: ") {
		t.Errorf("%d: %s%s", code, out, errs)
	}
	out, _, code = sealpost(t, "", "health", "--config", in.config)
	if code != exitOK || strings.Count(out, "\n") != 1 {
		t.Errorf("%d: %s", code, out)
	}
}

// With mode all, a recipient whose keys lie in two places gets both; the
// certificate of one place is used while the other is away, and there is no
// certificate only when both say so.
func TestAllSourcesAreAsked(t *testing.T) {
	in := newInstallation(t, "pinned@example.org")
	const both = "both@example.org"
	in.personWith(t, both, testkit.Leaf{NotBefore: time.Now().Add(-2 * time.Hour)})
	in.enroll(both, in.ca.For(t, both))
	in.enroll("keys@example.org", in.ca.For(t, "keys@example.org"))
	keys := newKeyserver(t, in)
	sink := testkit.StartSink(t, testkit.SinkOptions{})
	in.configure(t, sink.Addr, "lookup:\n  mode: all\n  timeout: 200ms\n  cache: {entries: 0}\n  sources:\n    - {name: pinned, type: files, dir: certs}\n"+keys.source("")+
		"policy:\n  - {name: default, no_key: plaintext}\n")
	in.start(t)
	canary := testkit.NewCanary(t)
	message := sampleMail(canary)
	d := in.dial(t)
	for _, to := range []string{both, "keys@example.org", "pinned@example.org"} {
		if got := d.submit(t, message, to); !strings.HasPrefix(got, "250") {
			t.Error(got)
		}
	}
	out, _, code := sealpost(t, "", "lookup", "--config", in.config, both)
	if code != exitOK || strings.Count(out, ": USED\n") != 2 {
		t.Errorf("%d\n%s", code, out)
	}
	keys.Close()
	if got := d.submit(t, message, both); !strings.HasPrefix(got, "250") {
		t.Error(got)
	}
	d.say(t, "250", "MAIL FROM:<statements@bank.example>")
	d.say(t, "451 4.4.3", "RCPT TO:<keys@example.org>")
	d.say(t, "451 4.4.3", "RCPT TO:<nobody@example.org>")
	sink.Wait(t, 4)
	in.nowhere(t, canary, sink.Wire())
}
