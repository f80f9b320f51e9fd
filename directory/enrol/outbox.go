package enrol

import (
	"context"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"

	"sealpost/internal/address"
)

// Limits bound the answers. Who sends a thousand messages in somebody else's
// name makes that one get a few answers, and nobody a thousand.
type Limits struct {
	PerSender int           // answers an hour to one address; default 5
	PerHour   int           // answers an hour altogether; default 500
	Waiting   int           // answers waiting to be sent; default 100
	Retry     time.Duration // before the second attempt, and ten times that before the third; default 1 minute
}

func (l Limits) orDefault() Limits {
	if l.PerSender <= 0 {
		l.PerSender = 5
	}
	if l.PerHour <= 0 {
		l.PerHour = 500
	}
	if l.Waiting <= 0 {
		l.Waiting = 100
	}
	if l.Retry <= 0 {
		l.Retry = time.Minute
	}
	return l
}

// An outbox sends answers in the background. They live in memory only: an answer
// that is lost costs its reader nothing but the news.
type outbox struct {
	opts    Options
	stats   *counters
	waiting chan outgoing
	all     *rate.Limiter
	senders *lru.Cache[string, *rate.Limiter]
	mu      sync.Mutex // of senders, and of closed
	closed  bool
	tasks   sync.WaitGroup
	ctx     context.Context
	stop    context.CancelFunc
}

type outgoing struct {
	to      address.Address
	message []byte
}

// workers is how many answers are sent at once.
const workers = 4

func newOutbox(ctx context.Context, opts Options, stats *counters) *outbox {
	senders, err := lru.New[string, *rate.Limiter](10000)
	if err != nil {
		panic(err) // for sizes below one only
	}
	o := &outbox{
		opts: opts, stats: stats, waiting: make(chan outgoing, opts.Limits.Waiting),
		all: hourly(opts.Limits.PerHour), senders: senders,
	}
	o.ctx, o.stop = context.WithCancel(ctx)
	for range workers {
		o.tasks.Go(o.work)
	}
	return o
}

func hourly(n int) *rate.Limiter { return rate.NewLimiter(rate.Every(time.Hour/time.Duration(n)), n) }

// put takes an answer, unless there have been too many.
func (o *outbox) put(to address.Address, message []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.allows(to) {
		o.stats.withheld.Add(1)
		o.opts.Log.Info("the sender is not answered", "because", "there were too many answers within the hour")
		return
	}
	if o.closed {
		return
	}
	select {
	case o.waiting <- outgoing{to, message}:
	default:
		o.stats.lost.Add(1)
		o.opts.Log.Warn("an answer was dropped: too many wait to be sent")
	}
}

func (o *outbox) allows(to address.Address) bool {
	now := o.opts.Clock()
	l, ok := o.senders.Get(to.Key())
	if !ok {
		l = hourly(o.opts.Limits.PerSender)
		o.senders.Add(to.Key(), l)
	}
	return l.AllowN(now, 1) && o.all.AllowN(now, 1)
}

func (o *outbox) work() {
	for m := range o.waiting {
		o.send(m)
	}
}

// send tries three times.
func (o *outbox) send(m outgoing) {
	var err error
	for _, pause := range []time.Duration{0, o.opts.Limits.Retry, 10 * o.opts.Limits.Retry} {
		if err != nil && !o.pause(pause) {
			break
		}
		if err = o.attempt(m); err == nil {
			o.stats.answers.Add(1)
			return
		}
	}
	o.stats.lost.Add(1)
	o.opts.Log.Warn("an answer could not be sent, and is dropped", "error", err)
}

func (o *outbox) attempt(m outgoing) error {
	ctx, cancel := context.WithTimeout(o.ctx, 5*time.Minute)
	defer cancel()
	return o.opts.Sender.Send(ctx, address.Address{}, m.to, m.message)
}

func (o *outbox) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-o.ctx.Done():
		return false
	}
}

// close lets what waits be sent until ctx ends.
func (o *outbox) close(ctx context.Context) error {
	o.mu.Lock()
	o.closed = true
	close(o.waiting)
	o.mu.Unlock()
	done := make(chan struct{})
	go func() { o.tasks.Wait(); close(done) }()
	select {
	case <-done:
		o.stop()
		return nil
	case <-ctx.Done():
		o.stop()
		<-done
		return ctx.Err()
	}
}
