package queue

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"sealpost/internal/reason"
)

func held(id string, to ...string) Entry {
	e := mail(id, to...)
	e.Message.Kind = Held
	return e
}

func TestHeldUntilThereIsAKey(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		w.put(held("A1", "anna@example.org", "ben@example.org"))
		w.sleep(time.Hour)
		s := w.engine.Stats()
		if w.upstream.attempts() != 0 || s.Queues[NoKey].Parcels != 2 || s.Counts.Attempts != 0 {
			t.Fatalf("%d attempts, %+v", w.upstream.attempts(), s)
		}
		if n := w.keys.questions(); n < 6 || n > 12 {
			t.Errorf("asked %d times in an hour", n)
		}
		w.keys.learn("anna@example.org")
		w.sleep(20 * time.Minute)
		if w.upstream.count("A1", "anna@example.org") != 1 || w.upstream.count("A1", "ben@example.org") != 0 {
			t.Errorf("taken %v", w.upstream.taken)
		}
		w.keys.learn("ben@example.org")
		n, err := w.engine.Retry(w.t.Context(), Filter{States: []State{NoKey}})
		if err != nil || n != (Changed{1, 1}) {
			t.Errorf("Retry: %+v, %v", n, err)
		}
		w.sleep(time.Second)
		w.empty()
	})
}

func TestHeldExpires(t *testing.T) {
	for _, c := range []struct {
		down   bool
		status string
	}{{false, "5.7.1"}, {true, "5.4.7"}} {
		opt := Options{Times: Times{HoldExpire: 24 * time.Hour, DelayAfter: 4 * time.Hour}}
		inWorld(t, opt, func(w *world) {
			w.keys.down = c.down
			w.put(held("A1", "anna@example.org"))
			w.sleep(23 * time.Hour)
			w.restart()
			if w.waiting() != 1 || len(w.upstream.reports()) != 1 {
				t.Fatalf("%d wait, %d reports", w.waiting(), len(w.upstream.reports()))
			}
			w.sleep(time.Hour + time.Minute)
			w.empty()
			if w.upstream.count("A1", "anna@example.org") != 0 {
				t.Error("it was delivered")
			}
			reports := w.upstream.reports()
			if len(reports) != 2 || !strings.Contains(string(reports[0].content), "Action: delayed") {
				t.Fatalf("%d reports", len(reports))
			}
			for _, want := range []string{"Action: failed", "Status: " + c.status, "anna@example.org"} {
				if !strings.Contains(string(reports[1].content), want) {
					t.Errorf("the report lacks %q:\n%s", want, reports[1].content)
				}
			}
		})
	}
}

// A held message that has a key at last gets its full time for upstream.
func TestReleasedIsNotTooOld(t *testing.T) {
	opt := Options{Times: Times{HoldExpire: 240 * time.Hour, Expire: 24 * time.Hour, DelayAfter: -1}}
	inWorld(t, opt, func(w *world) {
		w.put(held("A1", "450@example.org"))
		w.sleep(100 * time.Hour)
		w.keys.learn("450@example.org")
		w.sleep(20 * time.Hour)
		w.restart()
		if w.waiting() != 1 {
			t.Fatalf("%d wait", w.waiting())
		}
		w.sleep(5 * time.Hour)
		w.empty()
		if got := w.results("450@example.org"); got[len(got)-1] != Expired {
			t.Errorf("results %v", got)
		}
	})
}

// They are given up though upstream is away all the time, and most of them are
// never its probe.
func TestReleasedExpiresWhileAway(t *testing.T) {
	const many = 300
	opt := Options{Times: Times{HoldExpire: 240 * time.Hour, Expire: 12 * time.Hour, DelayAfter: -1}}
	inWorld(t, opt, func(w *world) {
		for i := range many {
			w.put(held(fmt.Sprintf("H%d", i), "anna@example.org"))
		}
		w.sleep(24 * time.Hour)
		w.upstream.setAway(true)
		w.keys.learn("anna@example.org")
		w.sleep(13 * time.Hour)
		if c := w.engine.Stats().Counts; c.Expired != many || c.Failures != many {
			t.Errorf("%+v", c)
		}
	})
}

// A key that is gone again when the copy's turn comes is asked for again.
func TestKeyThatVanishes(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		w.upstream.setAway(true)
		w.keys.learn("anna@example.org")
		w.put(held("A1", "anna@example.org"))
		w.sleep(time.Minute / 2)
		w.keys.mu.Lock()
		w.keys.known = nil
		w.keys.mu.Unlock()
		w.upstream.setAway(false)
		w.sleep(time.Hour)
		if s := w.engine.Stats(); s.Queues[NoKey].Parcels != 1 || len(w.upstream.taken) != 0 {
			t.Errorf("%+v, taken %v", s, w.upstream.taken)
		}
		w.keys.learn("anna@example.org")
		w.sleep(time.Hour)
		w.empty()
		if got := w.results("anna@example.org"); got[0] != Later || !slices.Contains(got, Waits) || got[len(got)-1] != Sent {
			t.Errorf("results %v", got)
		}
	})
}

// Held messages do not wait behind those that upstream does not take, and
// without a resolver they only wait.
func TestHeldAsksWhileUpstreamIsAway(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		w.upstream.setAway(true)
		w.put(mail("A1", "anna@example.org"))
		w.put(held("H1", "ben@example.org"))
		w.sleep(time.Hour)
		if n := w.keys.questions(); n < 3 {
			t.Errorf("asked %d times", n)
		}
		for row := range w.engine.List(w.t.Context(), Filter{States: []State{NoKey}}) {
			if row.QueueID != "H1" || row.Reason != reason.NoCertificate || row.QueueName != NoKey {
				t.Errorf("%+v", row)
			}
		}
	})
}

func TestWithoutResolver(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		w.stop()
		w.open()
		w.opt.Store = w.store
		e, err := New(w.opt)
		if err != nil {
			t.Fatal(err)
		}
		w.engine, w.upstream.store = e, w.store
		e.Start(w.upstream, nil)
		w.put(held("H1", "ben@example.org"))
		w.sleep(time.Hour)
		if w.waiting() != 1 || w.upstream.attempts() != 0 {
			t.Errorf("%d wait, %d attempts", w.waiting(), w.upstream.attempts())
		}
	})
}
