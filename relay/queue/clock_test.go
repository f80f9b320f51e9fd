package queue

import (
	"math/rand/v2"
	"testing"
	"time"
)

// Jumps of the wall clock neither stop nor hasten attempts.
func TestClockJumps(t *testing.T) {
	for _, jump := range []time.Duration{-100 * 24 * time.Hour, -time.Hour, time.Hour, 3 * time.Hour} {
		inWorld(t, Options{}, func(w *world) {
			w.put(mail("A1", "450@example.org"))
			w.sleep(10 * time.Minute) // the next attempt is after 15 minutes
			w.jump(jump)
			before := w.upstream.attempts()
			w.sleep(4 * time.Minute)
			if n := w.upstream.attempts(); n != before {
				t.Errorf("%v: hastened: %d attempts", jump, n-before)
			}
			w.sleep(20 * time.Minute)
			if n := w.upstream.attempts(); n != before+1 {
				t.Errorf("%v: %d attempts", jump, n-before)
			}
		})
	}
}

// jump sets the wall clock.
func (w *world) jump(d time.Duration) { w.skew.Add(int64(d)) }

// A clock that was set back while the process rested leaves next attempts and
// arrivals in the future: they are clamped.
func TestClockSetBackBetweenProcesses(t *testing.T) {
	opt := Options{Times: Times{Expire: 24 * time.Hour}}
	inWorld(t, opt, func(w *world) {
		w.put(mail("A1", "450@example.org"), held("H1", "ben@example.org"))
		w.sleep(2 * time.Hour)
		w.stop()
		w.jump(-365 * 24 * time.Hour)
		w.start()
		before := w.upstream.attempts()
		w.sleep(time.Hour + 7*time.Minute) // the longest interval
		if n := w.upstream.attempts(); n == before {
			t.Error("no attempt within the longest interval")
		}
		if s := w.engine.Stats(); s.Queues[Deferred].Oldest.After(w.engine.wall()) {
			t.Errorf("arrived in the future: %+v", s)
		}
		w.keys.learn("ben@example.org")
		w.sleep(30 * time.Hour)
		w.empty()
	})
}

// A clock that was set ahead beyond the expiry: what upstream takes is
// delivered all the same.
func TestClockSetAhead(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		w.upstream.setAway(true)
		w.put(mail("A1", "anna@example.org"))
		w.sleep(time.Minute)
		w.jump(400 * 24 * time.Hour)
		w.upstream.setAway(false)
		w.sleep(10 * time.Minute)
		w.empty()
		if w.upstream.count("A1", "anna@example.org") != 1 {
			t.Errorf("taken %v, %d reports", w.upstream.taken, len(w.upstream.reports()))
		}
	})
}

func TestClockThatJumpsAllTheTime(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	inWorld(t, Options{}, func(w *world) {
		w.put(mail("A1", "anna@example.org", "450@example.org"), held("H1", "ben@example.org"))
		for range 60 {
			w.jump(time.Duration(rng.Int64N(int64(20*24*time.Hour))) - 10*24*time.Hour)
			w.sleep(time.Duration(rng.Int64N(int64(3 * time.Hour))))
			if rng.IntN(8) == 0 {
				w.restart()
			}
		}
		w.keys.learn("ben@example.org")
		w.sleep(130 * 24 * time.Hour)
		w.empty()
		if w.upstream.count("A1", "anna@example.org") != 1 {
			t.Errorf("taken %v", w.upstream.taken)
		}
	})
}
