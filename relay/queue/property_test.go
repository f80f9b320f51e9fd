package queue

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sealpost/internal/reason"
	"sealpost/relay/reply"
	"sealpost/relay/upstream"
)

// promise is a copy that was answered for.
type promise struct{ id, to string }

// A ledger is what a random life has promised.
type ledger struct {
	promised map[promise]bool
	deleted  map[promise]bool
	// repeats: how often something happened after which a delivery may be
	// repeated: a crash, or a disk that did not note it.
	repeats int
	seq     int
}

var people = []string{
	"anna@example.org", "ben@example.org", "550@example.org", "450@example.org", "lost@example.org", "maybe@example.org",
	"slow@example.org", "flaky@example.org",
}

// TestNothingIsLost lets random things happen for some days, then leaves the
// queue in peace. Every copy must have been delivered, or its sender told, or
// an operator must have deleted it.
func TestNothingIsLost(t *testing.T) {
	promises := 0
	for seed := range uint64(16) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rng := rand.New(rand.NewPCG(seed, 7))
				w := newWorld(t, Options{Workers: 1 + rng.IntN(8), Times: Times{Expire: 48 * time.Hour}})
				w.upstream.behave = flaky(rng.Uint64())
				w.start()
				l := &ledger{promised: map[promise]bool{}, deleted: map[promise]bool{}}
				for range 60 {
					l.something(w, rng)
					w.sleep(time.Duration(rng.Int64N(int64(2 * time.Hour))))
				}
				w.disk.setBroken(false)
				w.upstream.setAway(false)
				_, _ = w.engine.Release(w.t.Context(), Filter{})
				for _, p := range people {
					w.keys.learn(p)
				}
				w.sleep(150 * time.Hour)
				l.check(w)
				w.stop()
				promises += len(l.promised)
			})
		})
	}
	if promises < 300 {
		t.Errorf("only %d promises: little was tested", promises)
	}
}

// flaky makes flaky@ fail by chance, and the others as the fake does.
func flaky(seed uint64) func(Item) error {
	rng := rand.New(rand.NewPCG(seed, 9))
	var mu sync.Mutex
	return func(it Item) error {
		mu.Lock()
		defer mu.Unlock()
		switch it.Copy.To.Local() {
		case "550":
			return errSaid(550)
		case "450":
			return errSaid(450)
		case "lost":
			return errLost(upstream.NotTaken)
		case "maybe":
			if it.Attempts == 0 {
				return errLost(upstream.MaybeTaken)
			}
		case "flaky":
			return []error{nil, errSaid(451), errAway(), errLost(upstream.NotTaken)}[rng.IntN(4)]
		}
		return nil
	}
}

// something is one random event.
func (l *ledger) something(w *world, rng *rand.Rand) {
	ctx := w.t.Context()
	someone := Filter{Recipient: people[rng.IntN(len(people))]}
	switch rng.IntN(14) {
	case 0:
		w.upstream.setAway(true)
	case 1:
		w.upstream.setAway(false)
	case 2:
		w.disk.setBroken(false)
		w.restart()
		l.repeats++ // what the disk could not note is delivered again
	case 3:
		w.disk.mu.Lock()
		disk := w.disk.copyNow()
		w.disk.mu.Unlock()
		w.crash(disk)
		l.repeats++
	case 4:
		w.disk.setBroken(true)
		l.repeats++
	case 5, 6:
		w.disk.setBroken(false)
	case 7:
		w.jump(time.Duration(rng.Int64N(int64(8*time.Hour))) - 4*time.Hour)
	case 8:
		_, _ = w.engine.Hold(ctx, someone) // a broken disk is reported
	case 9:
		_, _ = w.engine.Release(ctx, someone)
		_, _ = w.engine.Retry(ctx, Filter{})
	case 10:
		w.keys.learn(someone.Recipient)
	case 11:
		l.delete(w, someone)
	default:
		for range rng.IntN(6) {
			l.put(w, rng)
		}
	}
}

func (l *ledger) delete(w *world, f Filter) {
	for row, err := range w.engine.List(w.t.Context(), f) {
		if err != nil {
			return
		}
		for _, r := range row.Recipients {
			l.deleted[promise{row.QueueID, r.Address}] = true // or not, if the disk refuses
		}
	}
	_, _ = w.engine.Delete(w.t.Context(), f)
}

func (l *ledger) put(w *world, rng *rand.Rand) {
	l.seq++
	e := mail(fmt.Sprintf("M%d", l.seq), people[:1]...)
	e.Copies = nil
	for _, i := range rng.Perm(len(people))[:1+rng.IntN(3)] {
		c := Copy{To: mustAddress(people[i]), Rule: "default"}
		if rng.IntN(3) == 0 {
			c.Said = reply.Errorf(451, reply.Enhanced{4, 4, 1}, reason.UpstreamUnreachable, "away")
		}
		e.Copies = append(e.Copies, c)
	}
	if rng.IntN(4) == 0 {
		e.Message.Kind = Held
	}
	if w.engine.Put(w.t.Context(), e) != nil {
		return
	}
	for _, c := range e.Copies {
		l.promised[promise{e.Message.ID, c.To.String()}] = true
	}
}

func (l *ledger) check(w *world) {
	w.t.Helper()
	w.empty()
	told := map[promise]int{}
	for _, r := range w.upstream.reports() {
		s := string(r.content)
		if !strings.Contains(s, "Action: failed") {
			continue
		}
		id, _, _ := strings.Cut(r.it.ID, "-")
		for _, p := range people {
			if strings.Contains(s, "Final-Recipient: rfc822; "+p) {
				told[promise{id, p}]++
			}
		}
	}
	for p := range l.promised {
		came := w.upstream.count(p.id, p.to)
		if came == 0 && told[p] == 0 && !l.deleted[p] {
			w.t.Errorf("%v is lost", p)
		}
		most := 1 + l.repeats
		if strings.HasPrefix(p.to, "maybe") {
			most++
		}
		if came > most || came > 0 && told[p] > 0 && l.repeats == 0 && !strings.HasPrefix(p.to, "maybe") {
			w.t.Errorf("%v came %d times, and %d reports of its failure", p, came, told[p])
		}
	}
}

// Messages come in and operators interfere while the queue is drained.
func TestPutWhileDraining(t *testing.T) {
	inWorld(t, Options{Workers: 16}, func(w *world) {
		const writers, each = 8, 40
		var wg sync.WaitGroup
		for i := range writers {
			wg.Go(func() {
				for j := range each {
					w.put(mail(fmt.Sprintf("A%d-%d", i, j), "anna@example.org", "450abc@example.org"))
				}
			})
		}
		wg.Go(func() {
			for range 20 {
				f := Filter{Recipient: "anna@*"}
				if _, err := w.engine.Hold(w.t.Context(), f); err != nil {
					t.Error(err)
				}
				_ = w.engine.Stats()
				for _, err := range w.engine.List(w.t.Context(), Filter{}) {
					if err != nil {
						t.Error(err)
					}
				}
				if _, err := w.engine.Release(w.t.Context(), f); err != nil {
					t.Error(err)
				}
			}
		})
		wg.Wait()
		w.sleep(time.Minute)
		for i := range writers {
			for j := range each {
				if n := w.upstream.count(fmt.Sprintf("A%d-%d", i, j), "anna@example.org"); n != 1 {
					t.Errorf("A%d-%d came %d times", i, j, n)
				}
			}
		}
		w.upstream.set(func() { w.upstream.behave = func(Item) error { return nil } })
		w.sleep(2 * time.Hour)
		w.empty()
	})
}
