package main

import (
	"strings"
	"testing"

	"sealpost/internal/testkit"
)

// A trouble is one thing that upstream does once, at one stage.
type trouble struct{ stage, mood string }

// everyTrouble is all moods at all stages.
func everyTrouble() []trouble {
	all := []trouble{{"end", "take, cut"}, {"end", "take, silence"}}
	for _, stage := range stages {
		for _, mood := range []string{"450 4.2.0 not now", "421 4.3.2 going down", "cut", "half", "garbage", "silence"} {
			all = append(all, trouble{stage, mood})
		}
	}
	return all
}

// twice reports whether the message may be sent again though it was taken: the
// connection was lost between the final dot and its answer.
func (c trouble) twice() bool { return strings.HasPrefix(c.mood, "take") }

// sender names the trouble, so that each message is known by it.
func (c trouble) sender() string {
	return strings.NewReplacer(" ", "-", ",", "").Replace(c.stage+"-"+c.mood) + "@bank.example"
}

// Whatever upstream does to a message, with on_trouble: spool the client hears
// 250, and upstream has the message in the end: once, sealed, every byte.
func TestTroubleIsTheSpools(t *testing.T) {
	t.Parallel()
	in := newInstallation(t, "anna@example.org")
	up := startRogue(t)
	in.spooled(t, up.addr, "")
	in.start(t)
	canary := testkit.NewCanary(t)
	message := sampleMail(canary)
	want := map[string]int{}
	for _, c := range everyTrouble() {
		testkit.Poll(t, "upstream to be back", func() bool { return !in.away(t) })
		up.hangUp() // each case begins with a connection of its own
		happened := up.once(c.stage, c.sender(), c.mood)
		if got := in.mail(t, c.sender(), message, "anna@example.org"); !strings.HasPrefix(got, "250 ") {
			t.Errorf("%s: %s: the client hears %q", c.stage, c.mood, got)
		}
		if happened() != 1 {
			t.Errorf("%s: %s: happened %d times", c.stage, c.mood, happened())
		}
		want[c.sender()] = 1
		if c.twice() {
			want[c.sender()] = 2
		}
	}
	up.feel(func(scene) string { return "" })
	testkit.Poll(t, "upstream to be back", func() bool { return !in.away(t) })
	up.shut()
	want["away@bank.example"] = 1
	if got := in.mail(t, "away@bank.example", message, "anna@example.org"); !strings.HasPrefix(got, "250 ") {
		t.Errorf("unreachable: the client hears %q", got)
	}
	in.nowhere(t, canary)
	up.open(t)
	in.waitEmpty(t)
	got := map[string]int{}
	for _, a := range up.arrivals() {
		got[a.from]++
		in.unsealed(t, a, message)
	}
	for from, n := range want {
		if got[from] != n {
			t.Errorf("<%s>: %d messages arrived, want %d", from, got[from], n)
		}
	}
	if len(got) != len(want) {
		t.Errorf("from %d senders, want %d: %v", len(got), len(want), got)
	}
	in.nowhere(t, canary)
}

// The same with on_trouble: defer: the client hears 4yz, keeps its message, and
// nothing is kept here.
func TestTroubleIsTheClients(t *testing.T) {
	t.Parallel()
	in := newInstallation(t, "anna@example.org")
	up := startRogue(t)
	in.spooled(t, up.addr, "on_trouble: defer\nlimits: {temp_dir: tmp, upstream: {command_timeout: 1s, end_timeout: 1s, connect_timeout: 1s}}\n")
	in.start(t)
	canary := testkit.NewCanary(t)
	message := sampleMail(canary)
	var want []string
	for _, c := range everyTrouble() {
		up.hangUp()
		happened := up.once(c.stage, c.sender(), c.mood)
		if got := in.mail(t, c.sender(), message, "anna@example.org"); !strings.HasPrefix(got, "4") {
			t.Errorf("%s: %s: the client hears %q", c.stage, c.mood, got)
		}
		if happened() != 1 {
			t.Errorf("%s: %s: happened %d times", c.stage, c.mood, happened())
		}
		if n := in.queued(t); n != 0 {
			t.Errorf("%s: %s: %d messages are kept", c.stage, c.mood, n)
		}
		if c.twice() {
			want = append(want, c.sender())
		}
	}
	up.shut()
	if got := in.mail(t, "away@bank.example", message, "anna@example.org"); !strings.HasPrefix(got, "451 4.4.1") {
		t.Errorf("unreachable: the client hears %q", got)
	}
	if n := in.queued(t); n != 0 {
		t.Errorf("unreachable: %d messages are kept", n)
	}
	var got []string
	for _, a := range up.arrivals() {
		got = append(got, a.from)
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("upstream has %q, want %q", got, want)
	}
	in.nowhere(t, canary)
}

// Of three copies one is taken at once and two are not: the client hears 250,
// and nobody gets two.
func TestSomeCopiesTaken(t *testing.T) {
	t.Parallel()
	in := newInstallation(t, "anna@example.org", "bert@example.org", "carl@example.org")
	up := startRogue(t)
	in.spooled(t, up.addr, "")
	in.start(t)
	canary := testkit.NewCanary(t)
	message := sampleMail(canary)
	tries := map[string]int{}
	up.feel(func(s scene) string {
		if s.stage != "RCPT" && s.stage != "end" {
			return ""
		}
		tries[s.stage+s.to]++
		switch {
		case s.to == "bert@example.org" && s.stage == "RCPT" && tries[s.stage+s.to] <= 2:
			return "452 4.2.2 mailbox full"
		case s.to == "carl@example.org" && s.stage == "end" && tries[s.stage+s.to] == 1:
			return "cut"
		}
		return ""
	})
	if got := in.mail(t, "statements@bank.example", message, "anna@example.org", "bert@example.org", "carl@example.org"); !strings.HasPrefix(got, "250 ") {
		t.Fatal(got)
	}
	for _, a := range up.wait(t, 3) {
		in.unsealed(t, a, message)
	}
	in.waitEmpty(t)
	got := map[string]int{}
	for _, a := range up.arrivals() {
		got[a.to]++
	}
	if len(got) != 3 || len(up.arrivals()) != 3 {
		t.Errorf("upstream got %v", got)
	}
	in.nowhere(t, canary)
}
