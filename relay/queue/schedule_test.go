package queue

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"sealpost/internal/reason"
	"sealpost/relay/reply"
)

// gaps are the waits between the attempts for a recipient.
func (w *world) gaps(to string) []time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []time.Duration
	var last time.Time
	for _, a := range w.attempts {
		if a.Item.Copy.To.String() != to {
			continue
		}
		if !last.IsZero() {
			all = append(all, a.Began.Sub(last))
		}
		last = a.Began
	}
	return all
}

func near(got, want time.Duration) bool {
	return got >= want*9/10-time.Second && got <= want*11/10+time.Second
}

func TestRetriesAndExpiry(t *testing.T) {
	opt := Options{Times: Times{Retry: []time.Duration{time.Minute, 5 * time.Minute, time.Hour}, Expire: 5 * time.Hour, DelayAfter: -1}}
	inWorld(t, opt, func(w *world) {
		w.put(mail("A1", "450@example.org"))
		w.sleep(6 * time.Hour)
		w.empty()
		got := w.gaps("450@example.org")
		want := []time.Duration{time.Minute, 5 * time.Minute, time.Hour, time.Hour, time.Hour, time.Hour}
		if len(got) < len(want) {
			t.Fatalf("gaps %v", got)
		}
		for i, d := range want {
			if !near(got[i], d) {
				t.Errorf("wait %d: %v, want %v", i, got[i], d)
			}
		}
		results := w.results("450@example.org")
		if results[len(results)-1] != Expired || slices.Contains(results[:len(results)-1], Expired) {
			t.Errorf("results %v", results)
		}
		var sum time.Duration
		for _, d := range got {
			sum += d
		}
		if sum < 5*time.Hour || sum > 5*time.Hour+time.Second {
			t.Errorf("given up after %v", sum)
		}
		reports := w.upstream.reports()
		if len(reports) != 1 {
			t.Fatalf("%d reports", len(reports))
		}
		for _, want := range []string{"Action: failed", "Status: 5.4.7", "450"} {
			if !strings.Contains(string(reports[0].content), want) {
				t.Errorf("the report lacks %q:\n%s", want, reports[0].content)
			}
		}
	})
}

func TestFirstAttemptAfterTheRelays(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		e := mail("A1", "450@example.org")
		e.Copies[0].Said = reply.Errorf(450, reply.Enhanced{4, 2, 0}, reason.UpstreamDeferred, "greylisted")
		put := time.Now()
		w.put(e)
		for row := range w.engine.List(w.t.Context(), Filter{}) {
			r := row.Recipients[0]
			if r.DelayReason != "450 4.2.0 greylisted" || r.Reason != reason.UpstreamDeferred || r.Attempts != 0 {
				t.Errorf("%+v", r)
			}
		}
		w.sleep(30 * time.Minute)
		first := w.attempts[0].Began.Sub(put)
		if gaps := w.gaps("450@example.org"); !near(first, time.Minute) || !near(gaps[0], 5*time.Minute) {
			t.Errorf("first after %v, then %v", first, gaps)
		}
	})
}

func TestDelayIsReportedOnce(t *testing.T) {
	opt := Options{Times: Times{DelayAfter: 2 * time.Hour}}
	inWorld(t, opt, func(w *world) {
		w.put(mail("A1", "450@example.org", "451@example.org", "anna@example.org"))
		quiet := mail("A2", "450@example.org")
		quiet.Copies[0].Notify = []string{"FAILURE"}
		w.put(quiet)
		for range 12 {
			w.sleep(time.Hour)
			w.restart()
		}
		reports := w.upstream.reports()
		if len(reports) != 1 {
			t.Fatalf("%d reports", len(reports))
		}
		for _, want := range []string{"Action: delayed", "450@example.org", "451@example.org", "Will-Retry-Until:"} {
			if !strings.Contains(string(reports[0].content), want) {
				t.Errorf("the report lacks %q:\n%s", want, reports[0].content)
			}
		}
		if strings.Contains(string(reports[0].content), "anna@") {
			t.Errorf("the report names who has it:\n%s", reports[0].content)
		}
		if w.waiting() != 2 {
			t.Errorf("%d wait", w.waiting())
		}
	})
}

// While upstream is away nobody is tried, and yet senders are told.
func TestDelayAndExpiryWhileAway(t *testing.T) {
	opt := Options{Times: Times{DelayAfter: 2 * time.Hour, Expire: 12 * time.Hour}}
	inWorld(t, opt, func(w *world) {
		w.upstream.setAway(true)
		for _, id := range []string{"A1", "A2", "A3"} {
			w.put(mail(id, "anna@example.org"))
		}
		w.sleep(11 * time.Hour)
		if c := w.engine.Stats().Counts; c.Delays != 3 || c.Failures != 0 {
			t.Errorf("counts %+v", c)
		}
		w.sleep(2 * time.Hour)
		if c := w.engine.Stats().Counts; c.Delays != 3 || c.Failures != 3 || c.Expired != 3 {
			t.Errorf("counts %+v", c)
		}
		if w.waiting() != 6 {
			t.Errorf("%d wait, want the six reports", w.waiting())
		}
		w.upstream.setAway(false)
		w.sleep(10 * time.Minute)
		w.empty()
		if n := len(w.upstream.reports()); n != 6 {
			t.Errorf("%d reports", n)
		}
	})
}

// A machine that starts after a long rest, with its network late, tries
// everything before it gives up anything.
func TestNothingExpiresUntried(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		w.upstream.setAway(true)
		for _, id := range []string{"A1", "A2", "A3"} {
			w.put(mail(id, "anna@example.org"))
		}
		w.sleep(time.Second)
		w.stop()
		w.sleep(30 * 24 * time.Hour)
		w.start()
		w.sleep(2 * time.Minute)
		w.upstream.setAway(false)
		w.sleep(10 * time.Minute)
		w.empty()
		if n := w.upstream.count("A1", "anna@example.org") + w.upstream.count("A2", "anna@example.org") + w.upstream.count("A3", "anna@example.org"); n != 3 {
			t.Errorf("%d of 3 arrived", n)
		}
		if c := w.engine.Stats().Counts; c.Failures != 0 || c.Expired != 0 {
			t.Errorf("counts %+v", c)
		}
	})
}

func TestAdjust(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		w.put(mail("A1", "450@example.org"))
		w.sleep(25 * time.Minute) // the next attempt is an hour away
		before := w.upstream.attempts()
		w.engine.Adjust(Times{Retry: []time.Duration{time.Minute}, Expire: 40 * time.Minute, HoldRecheck: time.Minute})
		w.sleep(2 * time.Minute)
		if w.upstream.attempts() <= before {
			t.Error("a shorter interval does not count for what waits already")
		}
		w.sleep(15 * time.Minute)
		w.empty()
	})
}

func TestTimelineGivesInOrder(t *testing.T) {
	var line timeline[*parcel]
	rng := rand.New(rand.NewPCG(1, 2))
	all := make([]*parcel, 500)
	for i := range all {
		all[i] = &parcel{due: time.Duration(rng.IntN(1000))}
		line.set(all[i])
	}
	for _, p := range all {
		switch rng.IntN(3) {
		case 0:
			line.remove(p)
			line.remove(p)
		case 1:
			p.due = time.Duration(rng.IntN(1000))
			line.set(p)
		}
	}
	left := len(line.h)
	last := time.Duration(-1)
	for p, ok := line.due(never); ok; p, ok = line.due(never) {
		if p.due < last || p.slot != 0 {
			t.Fatalf("%d after %d", p.due, last)
		}
		last = p.due
		left--
	}
	if left != 0 || line.next() != never {
		t.Errorf("%d left", left)
	}
}

func TestLineIsFirstComeFirstServed(t *testing.T) {
	var l line[int]
	next, served := 0, 0
	rng := rand.New(rand.NewPCG(3, 4))
	for range 10000 {
		if rng.IntN(2) == 0 {
			l.push(next)
			next++
		} else if x, ok := l.pop(); ok {
			if x != served {
				t.Fatalf("got %d, want %d", x, served)
			}
			served++
		} else if served != next {
			t.Fatalf("empty with %d waiting", next-served)
		}
	}
	if cap(l.items) > 4*(next-served)+256 {
		t.Errorf("%d places for %d", cap(l.items), next-served)
	}
}

// A note fits, and comes back, whatever upstream said.
func FuzzNote(f *testing.F) {
	f.Add("ok", "mx.example:25")
	f.Add(strings.Repeat("\x00\u2028<&>\"\\", 2000), strings.Repeat("\xff", 2000))
	f.Fuzz(func(t *testing.T, said, remote string) {
		n := note{Reply: reply.New(450, reply.Enhanced{4, 0, 0}, said), Remote: remote, Through: true, Reason: reason.UpstreamDeferred}
		data := n.encode()
		if len(data) == 0 || len(data) > 4096 || bytes.ContainsRune(data, '\n') {
			t.Fatalf("%d bytes: %q", len(data), data)
		}
		back := readNote(data)
		if back.Reply.Code != 450 || !back.Through || !strings.HasPrefix(said, back.Reply.Text) && strings.ToValidUTF8(said, "") == said {
			t.Fatalf("came back as %+v", back)
		}
	})
}
