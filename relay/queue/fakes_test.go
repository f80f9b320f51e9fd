package queue

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"sealpost/internal/reason"
	"sealpost/relay/reply"
	"sealpost/relay/spool"
	"sealpost/relay/upstream"
)

// fakeUpstream is steered by the recipients: 550@… is refused, 450@… is put
// off, lost@… breaks the connection, maybe@… breaks it after the message was
// taken, slow@… takes a minute, stuck@… until its context ends.
type fakeUpstream struct {
	t     testing.TB
	store *spool.Store

	mu        sync.Mutex
	away      bool
	unplugged bool
	noDSN     bool
	silent    bool // errors come without an Outcome
	busy      int
	most      int // at once
	tries     int
	took      time.Duration // for every message
	// behave, when it is set, is asked first; nil goes on as above.
	behave func(it Item) error
	taken  map[string]int // "id recipient"
	mails  []delivered
	// active are those under way.
	active map[string]bool
}

type delivered struct {
	it      Item
	content []byte
	at      time.Time
}

func newFakeUpstream() *fakeUpstream {
	return &fakeUpstream{taken: map[string]int{}, active: map[string]bool{}, took: time.Millisecond}
}

func (u *fakeUpstream) set(f func()) {
	u.mu.Lock()
	defer u.mu.Unlock()
	f()
}

// figures are how many were tried, are under way, and were at once.
func (u *fakeUpstream) figures() (tries, busy, most int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.tries, u.busy, u.most
}

func (u *fakeUpstream) attempts() int {
	tries, _, _ := u.figures()
	return tries
}

func (u *fakeUpstream) isSilent() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.silent
}

func (u *fakeUpstream) setAway(away bool) { u.set(func() { u.away = away }) }
func (u *fakeUpstream) unplug()           { u.set(func() { u.unplugged = true }) }
func (u *fakeUpstream) plugIn()           { u.set(func() { u.unplugged, u.active = false, map[string]bool{} }) }

func failure(stage upstream.Stage, taken upstream.Certainty, code int, e reply.Enhanced, why reason.Token) *upstream.Failure {
	return &upstream.Failure{Server: "mx.example:25", Stage: stage, Taken: taken, Err: reply.Errorf(code, e, why, "said %d", code)}
}

func errAway() error {
	return failure(upstream.StageConnect, upstream.NotTaken, 451, reply.Enhanced{4, 4, 1}, reason.UpstreamUnreachable)
}

func errLost(taken upstream.Certainty) error {
	return failure(upstream.StageEnd, taken, 451, reply.Enhanced{4, 4, 2}, reason.UpstreamUnreachable)
}

func errSaid(code int) error {
	why := reason.UpstreamDeferred
	if code >= 500 {
		why = reason.UpstreamRefused
	}
	return failure(upstream.StageRcpt, upstream.NotTaken, code, reply.Enhanced{code / 100, 1, 1}, why)
}

func name(it Item) string { return it.ID + " " + it.Copy.To.String() }

func (u *fakeUpstream) Deliver(ctx context.Context, it Item) (*upstream.Outcome, error) {
	u.set(func() {
		u.tries++
		u.busy++
		u.most = max(u.most, u.busy)
		u.active[name(it)] = true
	})
	defer u.set(func() {
		u.busy--
		delete(u.active, name(it))
	})
	if err := u.inTheSpool(it); err != nil {
		u.t.Error(err)
	}
	o := &upstream.Outcome{Server: "mx.example:25", Started: time.Now()}
	content, err := readAll(it)
	if err != nil {
		return o, err
	}
	if err := u.outcome(ctx, it); err != nil {
		if upstream.TakenOf(err) == upstream.MaybeTaken {
			u.take(it, content)
		}
		if u.isSilent() {
			return nil, err
		}
		return o, err
	}
	u.mu.Lock()
	o.DSNDropped = u.noDSN
	u.mu.Unlock()
	o.Reply = reply.New(250, reply.Enhanced{2, 0, 0}, "queued as 4XyZ")
	u.take(it, content)
	return o, nil
}

// inTheSpool checks the promise that an attempt is recorded before it is made,
// and that nothing is delivered that is done.
func (u *fakeUpstream) inTheSpool(it Item) error {
	u.mu.Lock()
	store, gone := u.store, u.unplugged
	u.mu.Unlock()
	info, err := store.Info(it.ID)
	if gone || err != nil {
		return nil // it was deleted, or crashed
	}
	st := info.States[it.Parcel]
	if st.Done {
		return fmt.Errorf("%s is delivered after it was done", name(it))
	}
	if st.Attempts != it.Attempts+1 {
		return fmt.Errorf("%s: attempt %d, %d are recorded", name(it), it.Attempts+1, st.Attempts)
	}
	return nil
}

func (u *fakeUpstream) outcome(ctx context.Context, it Item) error {
	u.mu.Lock()
	away, behave, took := u.away, u.behave, u.took
	u.mu.Unlock()
	local := it.Copy.To.Local()
	if local == "slow" {
		took = time.Minute
	}
	if local == "stuck" {
		took = never
	}
	timer := time.NewTimer(took)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return failure(upstream.StageData, upstream.NotTaken, 451, reply.Enhanced{4, 3, 2}, reason.ShuttingDown)
	}
	if away {
		return errAway()
	}
	if behave != nil {
		return behave(it)
	}
	switch code, err := strconv.Atoi(strings.TrimRight(local, "abcdefghij")); {
	case err == nil && code >= 400 && code < 600:
		return errSaid(code)
	case local == "lost":
		return errLost(upstream.NotTaken)
	case local == "maybe" && it.Attempts == 0:
		return errLost(upstream.MaybeTaken)
	}
	return nil
}

func (u *fakeUpstream) take(it Item, content []byte) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.unplugged {
		return
	}
	if it.Message.Kind != Notice && !bytes.Equal(content, bodyOf(it.ID)) {
		u.t.Errorf("%s came with another body", name(it))
	}
	if it.Message.Kind == Held && it.Release != "sealed for "+it.Copy.To.String() {
		u.t.Errorf("%s was held and left as %v", name(it), it.Release)
	}
	u.taken[name(it)]++
	u.mails = append(u.mails, delivered{it, content, time.Now()})
}

// reports are the delivery status notifications that came.
func (u *fakeUpstream) reports() []delivered {
	u.mu.Lock()
	defer u.mu.Unlock()
	var all []delivered
	for _, m := range u.mails {
		if m.it.Message.Kind == Notice {
			all = append(all, m)
		}
	}
	return all
}

func (u *fakeUpstream) count(id, to string) int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.taken[id+" "+to]
}

// fakeDirectory knows keys; the zero value knows none.
type fakeDirectory struct {
	mu    sync.Mutex
	known map[string]bool
	down  bool
	asked int
}

func (d *fakeDirectory) learn(to string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.known == nil {
		d.known = map[string]bool{}
	}
	d.known[to] = true
}

func (d *fakeDirectory) questions() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.asked
}

func (d *fakeDirectory) Resolve(_ context.Context, it Item) (Release, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked++
	to := it.Copy.To.String()
	switch {
	case d.down:
		return nil, reply.Errorf(451, reply.Enhanced{4, 4, 3}, reason.LookupUnavailable, "the directory does not answer")
	case !d.known[to]:
		return nil, reply.Errorf(550, reply.Enhanced{5, 7, 1}, reason.NoCertificate, "no certificate for %s", to)
	}
	return "sealed for " + to, nil
}
