package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"sealpost/internal/address"
	"sealpost/relay/dsn"
	"sealpost/relay/spool"
)

// An Engine delivers what is in a spool. Its methods may be called at the same
// time from many goroutines. One goroutine keeps the schedule; others exist
// only while they deliver, ask or report.
type Engine struct {
	store    *spool.Store
	hostname string
	compose  func(dsn.Report) ([]byte, error)
	observe  func(Attempt)
	clock    func() time.Time
	log      *slog.Logger
	lookups  int

	deliverer Deliverer
	resolver  Resolver

	began   time.Time // of the monotonic clock
	wake    chan struct{}
	ctx     context.Context // of deliveries and lookups
	cancel  context.CancelFunc
	running sync.WaitGroup

	mu        sync.Mutex
	times     Times
	messages  map[string]*message
	schedule  timeline[*parcel]
	deadlines timeline[*message]
	ready     line[*parcel]
	asking    line[*parcel]
	errands   line[*message]
	health    health
	looking   int // lookups under way
	errand    int // errands under way
	counts    Counts
	started   bool
	stopping  bool
}

// New reads what waits in the spool. Nothing happens to it before Start.
func New(opt Options) (*Engine, error) {
	if _, err := address.Domain(opt.Hostname); opt.Store == nil || err != nil {
		return nil, fmt.Errorf("%w: %q", ErrOptions, opt.Hostname)
	}
	opt = opt.withDefaults()
	e := &Engine{
		store: opt.Store, hostname: opt.Hostname, compose: opt.Compose, observe: opt.Observe, clock: opt.Now,
		log: opt.Log, lookups: opt.Lookups, times: opt.Times,
		began: time.Now(), wake: make(chan struct{}, 1), messages: make(map[string]*message),
		health: newHealth(opt.Workers),
	}
	e.ctx, e.cancel = context.WithCancel(context.Background())
	e.mu.Lock()
	defer e.mu.Unlock()
	for info := range e.store.All() {
		e.admit(newMessage(info), info.States)
	}
	return e, nil
}

// Start begins to deliver. A nil Resolver leaves Held messages where they are.
// It is called once.
func (e *Engine) Start(d Deliverer, r Resolver) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.started || e.stopping {
		return
	}
	e.deliverer, e.resolver, e.started = d, r, true
	e.running.Go(e.run)
}

// Stop ends the engine: nothing new begins, and deliveries under way may
// finish until ctx ends. Those that do not finish in time are tried again by
// the next process. When Stop returns, no goroutine of the engine is left and
// the spool may be closed.
func (e *Engine) Stop(ctx context.Context) {
	e.mu.Lock()
	e.stopping = true
	e.mu.Unlock()
	e.kick()
	late := context.AfterFunc(ctx, e.cancel)
	e.running.Wait()
	late()
	e.cancel()
}

// Adjust sets other times, for what waits already too.
func (e *Engine) Adjust(t Times) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.times = t.withDefaults()
	limit := e.elapsed() + e.times.longest()
	for _, m := range e.messages {
		for i := range m.parcels {
			if p := &m.parcels[i]; p.lane == resting && p.due > limit {
				p.due = limit
				e.schedule.set(p)
			}
		}
		e.age(m)
		e.plan(m)
	}
	e.kick()
}

// elapsed is the engine's monotonic clock.
func (e *Engine) elapsed() time.Duration { return time.Since(e.began) }

// wall is the wall clock, without a monotonic part.
func (e *Engine) wall() time.Time { return e.clock().Round(0) }

// kick makes the schedule look again.
func (e *Engine) kick() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// run is the one goroutine of the schedule.
func (e *Engine) run() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		wait, stop := e.step()
		if stop {
			return
		}
		timer.Reset(wait)
		select {
		case <-e.wake:
		case <-timer.C:
		}
	}
}

// step moves on what is due, begins what there is a place for, and says how
// long nothing will be due.
func (e *Engine) step() (wait time.Duration, stop bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stopping {
		return 0, true
	}
	now := e.elapsed()
	for p, ok := e.schedule.due(now); ok; p, ok = e.schedule.due(now) {
		e.enqueue(p)
	}
	for m, ok := e.deadlines.due(now); ok; m, ok = e.deadlines.due(now) {
		m.onErrand = true
		e.errands.push(m)
	}
	e.dispatch(now)
	next := min(e.schedule.next(), e.deadlines.next())
	if at, waiting := e.health.nextProbe(); waiting && e.anyReady() {
		next = min(next, at)
	}
	return max(0, min(next-now, time.Hour)), false
}

// dispatch begins errands, lookups and deliveries as far as their limits go.
func (e *Engine) dispatch(now time.Duration) {
	for e.errand < maxErrands {
		m, ok := e.errands.pop()
		if !ok {
			break
		}
		e.errand++
		e.running.Go(func() { e.runErrand(m) })
	}
	for e.looking < e.lookups {
		p := popLane(&e.asking, asking)
		if p == nil {
			break
		}
		e.looking++
		e.move(p, active)
		e.running.Go(func() { e.ask(p) })
	}
	for e.health.room(now) {
		p := popLane(&e.ready, ready)
		if p == nil {
			break
		}
		e.move(p, active)
		t := e.health.begin(p.msg.id, now)
		e.running.Go(func() { e.try(p, t) })
	}
}

// anyReady reports whether a parcel waits for a place to be delivered.
func (e *Engine) anyReady() bool {
	for e.ready.head < len(e.ready.items) {
		if e.ready.items[e.ready.head].lane == ready {
			return true
		}
		e.ready.pop()
	}
	return false
}

// save writes a parcel's state to the spool. Failing is no reason to stop:
// memory goes on with what is true, and a restart with what is older.
func (e *Engine) save(p *parcel) error {
	p.msg.write.Lock()
	defer p.msg.write.Unlock()
	e.mu.Lock()
	st := spool.State{Status: byte(p.status), Next: e.wall().Add(p.due - e.elapsed()), Note: p.note}
	e.mu.Unlock()
	err := e.store.Update(context.Background(), p.ref(), st)
	if err != nil && !errors.Is(err, spool.ErrNotFound) {
		e.log.Error("queue: the state of a message could not be written", "id", p.msg.id, "parcel", p.index, "error", err)
	}
	return err
}
