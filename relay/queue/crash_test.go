package queue

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sealpost/relay/spool"
)

// everyKind puts messages that meet every end there is.
func everyKind(w *world) map[string]bool {
	promised := map[string]bool{}
	put := func(e Entry) {
		if w.engine.Put(w.t.Context(), e) == nil {
			promised[e.Message.ID] = true // it was answered 250
		}
	}
	a := mail("A1", "anna@example.org", "550@example.org", "maybe@example.org")
	a.Copies[0].Notify = []string{"SUCCESS"}
	put(a)
	put(mail("A2", "450@example.org"))
	put(held("H1", "ben@example.org"))
	return promised
}

// everyEnd lets everybody finish: the directory knows ben at last, and 450@ is too
// old after a day.
func everyEnd(w *world) {
	w.sleep(2 * time.Hour)
	w.keys.learn("ben@example.org")
	w.sleep(30 * time.Hour)
}

// told are the recipients that failure reports name.
func (w *world) told() map[string]int {
	all := map[string]int{}
	for _, r := range w.upstream.reports() {
		s := string(r.content)
		if !strings.Contains(s, "Action: failed") {
			continue
		}
		for _, to := range []string{"550@example.org", "450@example.org"} {
			if strings.Contains(s, "Final-Recipient: rfc822; "+to) {
				all[to]++
			}
		}
	}
	return all
}

// checkEnds checks that each promise was kept: delivered, or reported. repeats
// is how often more than once something may have happened.
func checkEnds(w *world, promised map[string]bool, repeats int) {
	w.t.Helper()
	w.empty()
	told := w.told()
	for _, c := range []struct {
		id, to    string
		delivered bool
		most      int
	}{
		{"A1", "anna@example.org", true, 1}, {"A1", "maybe@example.org", true, 2}, {"A1", "550@example.org", false, 1},
		{"A2", "450@example.org", false, 1}, {"H1", "ben@example.org", true, 1},
	} {
		n := told[c.to]
		if c.delivered {
			n = w.upstream.count(c.id, c.to)
		}
		if promised[c.id] && n == 0 {
			w.t.Errorf("%s for %s is lost", c.id, c.to)
		}
		if n > c.most+repeats {
			w.t.Errorf("%s for %s: %d times, want %d at most", c.id, c.to, n, c.most+repeats)
		}
	}
}

var crashTimes = Times{Expire: 24 * time.Hour, HoldExpire: 48 * time.Hour, DelayAfter: 4 * time.Hour}

// TestKilledAtEveryStep kills the process at each write to the disk, one after
// the other, and starts it again on what the disk holds.
func TestKilledAtEveryStep(t *testing.T) {
	steps := 0
	for at := 1; ; at++ {
		reached := false
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, Options{Times: crashTimes})
			w.upstream.noDSN = true
			var disk *memFS
			w.start()
			base := w.disk.callCount()
			w.disk.setBefore(func(call int) error {
				if call == base+at && disk == nil {
					disk = w.disk.copyNow()
					w.upstream.unplug() // the process is dead: nobody hears it any more
				}
				if disk != nil {
					return errDisk
				}
				return nil
			})
			promised := everyKind(w)
			everyEndOf(w, func() bool { w.disk.mu.Lock(); defer w.disk.mu.Unlock(); return disk != nil })
			if disk == nil {
				w.disk.setBefore(nil)
				checkEnds(w, promised, 0)
				w.stop()
				return
			}
			reached = true
			w.crash(disk)
			w.keys.learn("ben@example.org")
			w.sleep(60 * time.Hour)
			checkEnds(w, promised, 1)
			w.stop()
		})
		if t.Failed() {
			t.Fatalf("killed at write %d", at)
		}
		if !reached {
			steps = at - 1
			break
		}
	}
	if steps < 20 {
		t.Errorf("only %d writes: not much was tested", steps)
	}
	t.Logf("killed at each of %d writes", steps)
}

// everyEndOf is everyEnd until the process is dead.
func everyEndOf(w *world, dead func() bool) {
	for hour := range 34 {
		if dead() {
			return
		}
		if hour == 2 {
			w.keys.learn("ben@example.org")
		}
		w.sleep(time.Hour)
	}
}

// TestDiskFailsAtEveryStep has each write fail once, and one hour of writes
// after it; the process lives on.
func TestDiskFailsAtEveryStep(t *testing.T) {
	for at := 1; ; at++ {
		reached := false
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, Options{Times: crashTimes})
			w.upstream.noDSN = true
			w.start()
			base := w.disk.callCount()
			var until time.Time
			w.disk.setBefore(func(call int) error {
				if call == base+at {
					reached = true
					until = time.Now().Add(time.Duration(at%3) * 30 * time.Minute)
					return errDisk
				}
				if time.Now().Before(until) {
					return errDisk
				}
				return nil
			})
			promised := everyKind(w)
			everyEnd(w)
			w.sleep(30 * time.Hour)
			w.disk.setBefore(nil)
			checkEnds(w, promised, 0)
			w.stop()
		})
		if t.Failed() {
			t.Fatalf("write %d failed", at)
		}
		if !reached {
			return
		}
	}
}

// TestRestartAtEveryHour stops and starts the process in an orderly way.
func TestRestartAtEveryHour(t *testing.T) {
	inWorld(t, Options{Times: crashTimes}, func(w *world) {
		w.upstream.noDSN = true
		promised := everyKind(w)
		for hour := range 50 {
			if hour == 3 {
				w.keys.learn("ben@example.org")
			}
			w.sleep(time.Hour)
			w.restart()
		}
		checkEnds(w, promised, 0)
	})
}

// All messages of a transaction wait, or none does.
func TestPutIsAllOrNothing(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		bad := mail("A1.2", "ben@example.org")
		bad.Body = nil
		if err := w.engine.Put(w.t.Context(), mail("A1", "anna@example.org"), bad); !errors.Is(err, ErrEntry) {
			t.Errorf("error %v", err)
		}
		w.sleep(time.Minute)
		w.empty()
		if w.upstream.attempts() != 0 {
			t.Error("a part was delivered")
		}
		w.put(mail("A2", "anna@example.org"), mail("A2.2", "ben@example.org"))
		if err := w.engine.Put(w.t.Context(), mail("A2", "anna@example.org")); !errors.Is(err, spool.ErrExists) {
			t.Errorf("error %v", err)
		}
		w.sleep(time.Minute)
		w.empty()
	})
}

func TestPutRefusesWhatIsIncomplete(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		for _, spoil := range []func(*Entry){
			func(e *Entry) { e.Message.ID = "" },
			func(e *Entry) { e.Message.ID = strings.Repeat("A", maxID+1) },
			func(e *Entry) { e.Message.ID = "A/1" },
			func(e *Entry) { e.Message.ID = "A..1" },
			func(e *Entry) { e.Message.ID = ".A1" },
			func(e *Entry) { e.Message.Kind = "" },
			func(e *Entry) { e.Copies = nil },
			func(e *Entry) { e.Copies[0].To = mustAddress("") },
			func(e *Entry) { e.Body = nil },
		} {
			e := mail("A1", "anna@example.org")
			spoil(&e)
			if err := w.engine.Put(w.t.Context(), e); !errors.Is(err, ErrEntry) {
				t.Errorf("%+v: %v", e.Message, err)
			}
		}
		w.empty()
	})
	if _, err := New(Options{}); !errors.Is(err, ErrOptions) {
		t.Errorf("New without a store: %v", err)
	}
}

// The order of a spool that waited is the order in which it is delivered.
func TestOldestFirstAfterRestart(t *testing.T) {
	inWorld(t, Options{Workers: 1}, func(w *world) {
		w.upstream.setAway(true)
		for i := range 20 {
			w.put(mail(fmt.Sprintf("A%02d", i), "anna@example.org"))
			w.sleep(time.Second)
		}
		w.stop()
		w.upstream.setAway(false)
		w.sleep(time.Hour)
		w.start()
		w.sleep(time.Minute)
		w.empty()
		var ids []string
		for _, m := range w.upstream.mails {
			ids = append(ids, m.it.ID)
		}
		// The first few were probes, and have their turn later.
		if !slices.IsSorted(ids[1 : len(ids)-1]) {
			t.Errorf("order %v", ids)
		}
	})
}
