package queue

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"sealpost/internal/reason"
	"sealpost/relay/reply"
	"sealpost/relay/upstream"
)

// While upstream is away one parcel at a time is tried, however many wait.
func TestOnlyProbesWhileAway(t *testing.T) {
	inWorld(t, Options{Workers: 16}, func(w *world) {
		w.upstream.setAway(true)
		for i := range 300 {
			w.put(mail(fmt.Sprintf("A%d", i), "anna@example.org"))
		}
		w.sleep(time.Second)
		if !w.engine.Trouble() {
			t.Error("no trouble is known")
		}
		w.sleep(2 * time.Hour)
		if n := w.upstream.attempts(); n < 20 || n > 40 {
			t.Errorf("%d attempts in two hours", n)
		}
		w.upstream.set(func() { w.upstream.away, w.upstream.most, w.upstream.took = false, 0, time.Second })
		w.sleep(6 * time.Minute)
		w.empty()
		if w.engine.Trouble() {
			t.Error("there is trouble still")
		}
		if _, _, most := w.upstream.figures(); most != 16 {
			t.Errorf("%d at once, want 16", most)
		}
	})
}

func TestSlowStart(t *testing.T) {
	inWorld(t, Options{Workers: 16}, func(w *world) {
		w.upstream.took = time.Second
		for i := range 100 {
			w.put(mail(fmt.Sprintf("A%d", i), "anna@example.org"))
		}
		began := time.Now()
		for _, most := range []int{1, 2, 4, 8, 16, 16} {
			w.sleep(time.Until(began.Add(500 * time.Millisecond)))
			if _, busy, _ := w.upstream.figures(); busy != most {
				t.Errorf("%d deliveries, want %d", busy, most)
			}
			began = began.Add(time.Second)
		}
		w.sleep(time.Minute)
		w.empty()
	})
}

func TestProbeAfterFirstMessage(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		w.engine.Heard(errAway())
		if !w.engine.Trouble() {
			t.Fatal("no trouble is known")
		}
		w.sleep(time.Hour)
		w.put(mail("A1", "anna@example.org")) // its turn to find out
		w.sleep(time.Second)
		w.empty()
		if w.engine.Trouble() {
			t.Error("there is trouble still")
		}
		w.engine.Heard(errAway())
		w.engine.Heard(nil)
		if w.engine.Trouble() {
			t.Error("a message went through, and there is trouble still")
		}
	})
}

// A message that makes upstream break its connection does not stop the rest.
func TestPoisonMessageHoldsUpNobody(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		w.put(mail("P1", "lost@example.org"))
		for i := range 48 {
			w.put(mail(fmt.Sprintf("A%d", i), "anna@example.org"))
			w.sleep(time.Hour)
			if w.engine.Trouble() {
				t.Fatal("upstream counts as away")
			}
		}
		if w.waiting() != 1 {
			t.Errorf("%d wait", w.waiting())
		}
	})
}

// One message alone never makes upstream count as away.
func TestOneMessageIsNotUpstream(t *testing.T) {
	h := newHealth(8)
	for i := range 10 * maxStrains {
		h.strained(try{id: "P1", began: time.Duration(i) * time.Hour}, time.Duration(i)*time.Hour, Times{}.withDefaults())
	}
	if h.away || h.limit != 1 {
		t.Errorf("%+v", h)
	}
}

// What fails before it comes to upstream does not say that upstream is back.
func TestOwnTroubleIsNoAnswer(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		w.upstream.set(func() {
			w.upstream.behave = func(Item) error {
				return reply.Errorf(554, reply.Enhanced{5, 6, 0}, reason.MessageMalformed, "we cannot even send it")
			}
			w.upstream.silent = true
		})
		w.engine.Heard(errAway())
		w.sleep(time.Hour)
		w.put(mail("A1", "anna@example.org"))
		w.sleep(time.Second)
		if got := w.results("anna@example.org"); !slices.Equal(got, []Result{Bounced}) || !w.engine.Trouble() {
			t.Errorf("%v, trouble %v", got, w.engine.Trouble())
		}
	})
}

func TestBreakingConnectionsCountAsAway(t *testing.T) {
	h := newHealth(8)
	times := Times{}.withDefaults()
	now := time.Duration(0)
	for i := range maxStrains {
		if h.away {
			t.Fatalf("away after %d", i)
		}
		now += time.Second
		h.strained(try{id: fmt.Sprint(i), began: now}, now, times)
	}
	if !h.away {
		t.Error("not away")
	}
}

// An answer is an answer: "too busy" narrows the limit, and never counts as
// away.
func TestCrowded(t *testing.T) {
	inWorld(t, Options{Workers: 8}, func(w *world) {
		w.upstream.set(func() {
			w.upstream.behave = func(Item) error {
				return failure(upstream.StageMail, upstream.NotTaken, 452, reply.Enhanced{4, 3, 1}, reason.UpstreamDeferred)
			}
		})
		for i := range 30 {
			w.put(mail(fmt.Sprintf("A%d", i), "anna@example.org"))
		}
		w.sleep(30 * time.Second)
		if s := w.engine.Stats(); s.Limit != 1 || s.Away || s.Counts.Deferred != 30 {
			t.Errorf("%+v", s)
		}
	})
}

func TestHalvesOnceForOneRound(t *testing.T) {
	h := newHealth(32)
	times := Times{}.withDefaults()
	for range 100 {
		h.answered(true)
	}
	if h.limit != 32 {
		t.Fatalf("limit %d", h.limit)
	}
	for i := range 3 {
		h.strained(try{id: fmt.Sprint(i), began: time.Second}, 2*time.Second, times)
	}
	if h.limit != 16 {
		t.Errorf("limit %d after three that were under way together", h.limit)
	}
	for range 16 {
		h.answered(true)
	}
	if h.limit != 17 {
		t.Errorf("limit %d, want one more after a round", h.limit)
	}
	h.strained(try{id: "x", began: 3 * time.Second}, 4*time.Second, times)
	if h.limit != 8 {
		t.Errorf("limit %d", h.limit)
	}
}

func TestProbesGetRarer(t *testing.T) {
	h := newHealth(4)
	times := Times{}.withDefaults()
	h.unreachable(try{}, 0, times)
	last := time.Duration(0)
	for _, want := range []time.Duration{time.Minute, 5 * time.Minute, 5 * time.Minute, 5 * time.Minute} {
		now := h.probeAt
		if !h.room(now) || h.room(now-1) {
			t.Fatalf("no room at %v", now)
		}
		if !near(now-last, want) {
			t.Errorf("probe after %v, want %v", now-last, want)
		}
		last = now
		p := h.begin("A", now)
		if h.room(now) {
			t.Error("two probes at once")
		}
		h.end(p)
		h.unreachable(p, now, times)
	}
	if h.answered(true); h.away || h.limit != 2 || h.misses != 0 {
		t.Errorf("after an answer: %+v", h)
	}
}
