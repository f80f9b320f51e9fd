package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// reckon looks at every message that was sent and everything that arrived.
func (c *crash) reckon(t *testing.T) {
	t.Helper()
	copies, reports := map[string][]arrival{}, map[int]int{}
	readers := map[string]*reader{}
	for _, who := range []string{"anna@example.org", "bert@example.org", "late@example.org"} {
		readers[who] = c.in.reader(t, who)
	}
	for _, a := range c.up.arrivals() {
		if a.from == "" {
			c.report(t, a)
			reports[number(a.to)]++
			continue
		}
		key := fmt.Sprint(number(a.from), " ", a.to)
		copies[key] = append(copies[key], a)
		c.intact(t, readers[a.to], a)
	}
	tally := map[string]int{}
	for n, code := range c.answers {
		tally[fmt.Sprint("answered ", code)]++
		switch {
		case code == 250 && refused(n) && reports[n] == 0:
			t.Errorf("%d: answered 250, refused by upstream, and its sender was not told", n)
		case code/100 == 4:
			t.Errorf("%d: answered %d with on_trouble: spool", n, code)
		case code/100 == 5 && !refused(n):
			t.Errorf("%d: answered %d", n, code)
		case reports[n] > 0 && (!refused(n) || code/100 == 5):
			t.Errorf("%d: answered %d, and a report was sent", n, code)
		}
		for _, to := range recipients(n) {
			got := copies[fmt.Sprint(n, " ", to)]
			switch {
			case len(got) > 0 && (refused(n) || code/100 == 5):
				t.Errorf("%d: answered %d, refused: %v, and it arrived", n, code, refused(n))
			case len(got) == 0 && code == 250 && !refused(n):
				t.Errorf("%d: LOST: answered 250 and never arrived for <%s>", n, to)
			}
			lost, killed := c.repeated(t, n, got)
			tally["twice, connection lost"] += lost
			tally["twice, killed"] += killed
		}
	}
	t.Logf("%d messages, %d kills, %v, %d copies arrived, %d reports", crashMessages, len(c.ends), tally, len(c.up.arrivals()), len(reports))
	if most := len(c.ends) * (crashWorkers + crashClients); tally["twice, killed"] > most {
		t.Errorf("%d copies arrived twice over %d kills, more than were under way", tally["twice, killed"], len(c.ends))
	}
	if tally["answered 250"] < crashMessages*3/4 {
		t.Errorf("only %d messages were answered 250", tally["answered 250"])
	}
}

// intact wants the bytes that were sent.
func (c *crash) intact(t *testing.T, r *reader, a arrival) {
	t.Helper()
	message := c.message(number(a.from))
	if a.to == "teller@open.example" {
		if !bytes.HasSuffix(a.raw, []byte(message)) {
			t.Errorf("<%s> for <%s>: not what was sent", a.from, a.to)
		}
		return
	}
	got, err := r.unseal(a.raw)
	if err != nil || string(got) != entityOf(message) {
		t.Errorf("<%s> for <%s>: not what was sent: %v", a.from, a.to, err)
	}
	if bytes.Contains(a.raw, []byte(c.canary)) {
		t.Errorf("<%s> for <%s>: PLAINTEXT", a.from, a.to)
	}
}

// repeated counts how often a copy arrived again, and wants a reason for it:
// the connection was lost before our client can have read the answer, or the
// process was killed before it can have noted it.
func (c *crash) repeated(t *testing.T, n int, got []arrival) (lost, killed int) {
	t.Helper()
	for i, a := range got[min(1, len(got)):] {
		switch before := got[i]; {
		case before.cut:
			lost++
		case before.life < a.life && c.ends[before.life].Sub(before.at) < 3*time.Second:
			killed++
		case !before.heard:
			lost++
		default:
			t.Errorf("%d arrived for <%s> again though the first was answered for: %v and %v, lives %d and %d",
				n, a.to, before.at, a.at, before.life, a.life)
		}
	}
	return lost, killed
}

// report wants a report of failure without content.
func (c *crash) report(t *testing.T, a arrival) {
	t.Helper()
	n := number(a.to)
	c.canary.Absent(t, "a report", a.raw)
	about := func(to string) bool { return strings.Contains(string(a.raw), "Final-Recipient: rfc822; "+to+"\r\n") }
	if !slices.ContainsFunc(recipients(n), about) {
		t.Errorf("the report about %d names none of its recipients:\n%s", n, a.raw)
	}
	if !strings.Contains(string(a.raw), "Action: failed") || !strings.Contains(string(a.raw), "550 5.1.1") {
		t.Errorf("the report about %d does not say why:\n%s", n, a.raw)
	}
}
