package queue

import (
	"math/rand/v2"
	"time"
)

// health is what is known of upstream as a whole: whether it is there, and
// how many deliveries at once it bears. Every parcel has the same way out, so
// where one cannot get through no other needs to try: one probe at a time
// finds out when upstream is back.
type health struct {
	most  int // deliveries at once, as configured
	limit int // deliveries at once now
	// Below the threshold every answer widens the limit by one, which doubles
	// it in a round trip; above it takes a whole round.
	threshold int
	credit    int
	busy      int
	cut       time.Duration // when the limit was last halved

	away    bool
	probing bool
	probeAt time.Duration
	misses  int // times in a row that upstream could not be reached

	strains int    // connections of different messages that broke, in a row
	worst   string // the message of the last one
}

const (
	// maxStrains is how often in a row the connections of different messages
	// may break before upstream counts as away. One message that makes upstream
	// break its connection must not hold up the others.
	maxStrains = 5
	// maxProbe is the longest wait between two probes.
	maxProbe = 5 * time.Minute
	// sureMisses is how often upstream must have been away before a message
	// expires without an attempt of its own: a machine that starts after a
	// long rest, before its network, must not bounce its whole spool.
	sureMisses = 5
)

func newHealth(most int) health {
	return health{most: most, limit: 1, threshold: most, cut: -1}
}

// A try is one delivery under way.
type try struct {
	probe bool
	began time.Duration
	id    string // of the message; "" when it went through the relay
}

// room reports whether a delivery may begin.
func (h *health) room(now time.Duration) bool {
	if h.away {
		return !h.probing && now >= h.probeAt
	}
	return h.busy < h.limit
}

// nextProbe is when upstream is to be probed, if it is.
func (h *health) nextProbe() (at time.Duration, waiting bool) {
	return h.probeAt, h.away && !h.probing
}

func (h *health) begin(id string, now time.Duration) try {
	h.busy++
	t := try{probe: h.away, began: now, id: id}
	h.probing = h.probing || t.probe
	return t
}

// end closes a try, whatever came of it.
func (h *health) end(t try) {
	h.busy--
	if t.probe {
		h.probing = false
	}
}

// answered notes that upstream spoke to us; took says that it dealt with the
// message, be it by refusing it, and so bears what we do.
func (h *health) answered(took bool) (back bool) {
	back = h.away
	if h.away {
		h.limit, h.threshold, h.credit = 1, h.most, 0
	}
	h.away, h.misses, h.strains, h.worst = false, 0, 0, ""
	if took {
		h.widen()
	}
	return back
}

func (h *health) widen() {
	h.credit++
	if h.limit < h.threshold || h.credit >= h.limit {
		h.limit = min(h.limit+1, h.most)
		h.credit = 0
	}
}

// strained notes a connection that broke or was too slow.
func (h *health) strained(t try, now time.Duration, retry Times) (lost bool) {
	if t.id == "" || t.id != h.worst {
		h.strains, h.worst = h.strains+1, t.id
	}
	if h.away || h.strains >= maxStrains {
		return h.unreachable(t, now, retry)
	}
	h.halve(t, now)
	return false
}

// halve lowers the limit, once for all deliveries that were under way together.
func (h *health) halve(t try, now time.Duration) {
	if t.began > h.cut {
		h.limit = max(1, h.limit/2)
		h.threshold, h.credit, h.cut = h.limit, 0, now
	}
}

// unreachable notes that no connection could be made. Deliveries that began
// before the others found that out tell nothing new.
func (h *health) unreachable(t try, now time.Duration, retry Times) (lost bool) {
	lost = !h.away
	if h.away && !t.probe {
		return false
	}
	h.away = true
	h.misses++
	h.probeAt = now + vary(min(retry.interval(h.misses), maxProbe))
	return lost
}

// vary changes a duration by up to a tenth, so that what failed together does
// not come again together.
func vary(d time.Duration) time.Duration {
	if d <= 0 {
		return d
	}
	return d - d/10 + rand.N(d/5+1)
}
