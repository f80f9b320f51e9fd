// Package gather copies signed mail that passes through the relay, so that the
// directory can learn certificates from it. It is never in the way of mail: what
// does not fit into its memory is not copied, and what cannot be learned from is
// forgotten. Nothing of it touches the disk.
package gather

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// ErrRefused is what Options.Learn wraps when a message teaches nothing. Every
// other error is trouble of whoever was to learn.
var ErrRefused = errors.New("nothing was learned")

// Options say who learns, and what that may cost.
type Options struct {
	// Learn reads one message, in the background. It must return soon after ctx
	// has ended.
	Learn   func(ctx context.Context, message io.Reader) error
	MaxSize int64         // bytes of one message; default 1 MiB
	Memory  int64         // bytes of all copies together; default 16 MiB
	Workers int           // messages that are learned from at once; default 2
	Timeout time.Duration // for one message; default 30 seconds
	Log     *slog.Logger
}

// waiting bounds the copies that wait, however small they are.
const waiting = 256

func (o Options) orDefault() Options {
	if o.MaxSize <= 0 {
		o.MaxSize = 1 << 20
	}
	if o.Memory <= 0 {
		o.Memory = 16 << 20
	}
	if o.Workers <= 0 {
		o.Workers = 2
	}
	if o.Timeout <= 0 {
		o.Timeout = 30 * time.Second
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// A Gatherer takes copies. A nil one takes none.
type Gatherer struct {
	opts   Options
	used   atomic.Int64 // bytes
	queue  chan *Copy
	mu     sync.RWMutex // of closed, against sending on the closed queue
	closed bool
	tasks  sync.WaitGroup
	ctx    context.Context
	stop   context.CancelFunc
	counts [results]atomic.Uint64
}

// A Result is what became of a signed message that passed through.
type Result int

// The results.
const (
	Learned  Result = iota
	Refused         // it teaches nothing; Options.Learn said why
	Failed          // whoever was to learn could not
	TooLarge        // larger than MaxSize
	Dropped         // there was no room, or no time when the server stopped
	results
)

// String is the word for metrics.
func (r Result) String() string {
	return [...]string{"learned", "refused", "failed", "too-large", "dropped"}[r]
}

// Results gives all of them.
func Results() []Result { return []Result{Learned, Refused, Failed, TooLarge, Dropped} }

// New makes a Gatherer and starts its workers; Close ends them.
func New(opts Options) *Gatherer {
	g := &Gatherer{opts: opts.orDefault(), queue: make(chan *Copy, waiting)}
	g.ctx, g.stop = context.WithCancel(context.Background())
	for range g.opts.Workers {
		g.tasks.Go(g.work)
	}
	return g
}

// Begin begins a copy, which must end with Offer or Drop.
func (g *Gatherer) Begin() *Copy {
	if g == nil {
		return nil
	}
	return &Copy{gatherer: g}
}

// Count tells how many messages had that result since the start.
func (g *Gatherer) Count(r Result) uint64 {
	if g == nil {
		return 0
	}
	return g.counts[r].Load()
}

func (g *Gatherer) count(r Result) { g.counts[r].Add(1) }

func (g *Gatherer) work() {
	for c := range g.queue {
		g.learn(c)
	}
}

func (g *Gatherer) learn(c *Copy) {
	defer c.Drop()
	if g.ctx.Err() != nil {
		g.count(Dropped)
		return
	}
	ctx, cancel := context.WithTimeout(g.ctx, g.opts.Timeout)
	defer cancel()
	switch err := g.opts.Learn(ctx, bytes.NewReader(c.data)); {
	case err == nil:
		g.count(Learned)
	case errors.Is(err, ErrRefused):
		g.count(Refused)
		g.opts.Log.Debug("nothing learned from a signed message", "error", err)
	default:
		g.count(Failed)
		g.opts.Log.Warn("a signed message could not be learned from, and is forgotten", "error", err)
	}
}

// Close lets what waits be learned until ctx ends.
func (g *Gatherer) Close(ctx context.Context) {
	if g == nil {
		return
	}
	g.mu.Lock()
	if !g.closed {
		close(g.queue)
	}
	g.closed = true
	g.mu.Unlock()
	defer context.AfterFunc(ctx, g.stop)()
	g.tasks.Wait()
	g.stop()
}

// A Copy is one message while it passes by. A nil one takes nothing.
type Copy struct {
	gatherer *Gatherer
	data     []byte
	reserved int64
	lost     bool
}

// Write takes the next bytes. There is never an error: a copy that has no room is
// given up, and the message goes on.
func (c *Copy) Write(p []byte) (int, error) {
	if c == nil || c.lost {
		return len(p), nil
	}
	g := c.gatherer
	need := int64(len(c.data) + len(p))
	if need > g.opts.MaxSize {
		c.giveUp(TooLarge)
		return len(p), nil
	}
	if need > int64(cap(c.data)) && !c.grow(need) {
		c.giveUp(Dropped)
		return len(p), nil
	}
	c.data = append(c.data, p...)
	return len(p), nil
}

// grow makes room for so many bytes, and counts it before it takes it.
func (c *Copy) grow(need int64) bool {
	g := c.gatherer
	size := min(max(need, 2*int64(cap(c.data)), 16<<10), max(need, g.opts.MaxSize))
	if g.used.Add(size) > g.opts.Memory {
		g.used.Add(-size)
		return false
	}
	bigger := make([]byte, len(c.data), size)
	copy(bigger, c.data)
	clear(c.data)
	g.used.Add(-c.reserved)
	c.data, c.reserved = bigger, size
	return true
}

func (c *Copy) giveUp(why Result) {
	c.lost = true
	c.gatherer.count(why)
	c.Drop()
}

// Offer hands the message over, once it has been accepted. It never waits.
func (c *Copy) Offer() {
	if c == nil || c.lost {
		return
	}
	g := c.gatherer
	g.mu.RLock()
	defer g.mu.RUnlock()
	if !g.closed {
		select {
		case g.queue <- c:
			return
		default:
		}
	}
	c.giveUp(Dropped)
}

// Drop gives the memory back.
func (c *Copy) Drop() {
	if c == nil {
		return
	}
	clear(c.data)
	c.gatherer.used.Add(-c.reserved)
	c.data, c.reserved, c.lost = nil, 0, true
}
