// Package load plays the two sides of a mail relay in one process: the
// application in front, which sends numbered messages in a closed loop, and
// the server behind, which takes them. So one clock knows when a message was
// begun and when it has really arrived, whatever was done to its content.
package load

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"
)

// People is how many recipients there are; messages go to them in turn.
const People = 1000

// Recipient is the address of recipient i, counted modulo People.
func Recipient(i int) string { return fmt.Sprintf("r%d@dst.test", i%People) }

// Options describe one run.
type Options struct {
	Server     string // HOST:PORT of the relay under test
	Sink       *Sink  // where it delivers to
	Size       int    // octets of a message
	Recipients int    // of each message
	Sessions   int    // side by side, each with one connection
	Messages   int
	Away       bool               // the sink is down until the relay has taken everything
	To         func(i int) string // the address of recipient i, who is the first of message i/Recipients; default: Recipient
}

// A Result is what one run has shown.
type Result struct {
	Accepted   time.Duration   // until the relay had taken everything
	Delivered  time.Duration   // until everything had arrived
	Waited     time.Duration   // with Away: from Accepted until the first copy arrived
	Latency    []time.Duration // from MAIL to the arrival of the last copy; sorted
	Duplicates int
	Retries    int    // messages that were refused for now, or lost their connection
	Sample     string // the beginning of one message that arrived
}

// Percentile is the latency that a share of the messages did not exceed.
func (r Result) Percentile(share float64) time.Duration {
	if len(r.Latency) == 0 {
		return 0
	}
	return r.Latency[int(share*float64(len(r.Latency)-1))]
}

// A run is what source and sink share.
type run struct {
	first, recipients int
	begun, complete   []int64        // nanoseconds since start, by message; complete by the sink
	copies            []atomic.Int32 // delivered recipients, by message
	open              atomic.Int64   // messages that have not arrived completely
	firstCopy         atomic.Int64   // nanoseconds since start
	done              chan struct{}  // closed when open is 0
	start             time.Time
	sample            atomic.Pointer[string]
	duplicates        atomic.Int64
}

// sequence numbers every message of this process: what a relay delivers late
// does not count for another run.
var sequence atomic.Int64

func newRun(o Options) *run {
	r := &run{
		first: int(sequence.Add(int64(o.Messages))) - o.Messages, recipients: o.Recipients,
		begun: make([]int64, o.Messages), complete: make([]int64, o.Messages),
		copies: make([]atomic.Int32, o.Messages), done: make(chan struct{}), start: time.Now(),
	}
	r.open.Store(int64(o.Messages))
	return r
}

// arrived counts a delivered copy for some recipients.
func (r *run) arrived(seq, rcpts int, sample []byte) {
	i := seq - r.first
	if i < 0 || i >= len(r.copies) {
		return
	}
	if r.sample.Load() == nil {
		s := string(sample)
		r.sample.CompareAndSwap(nil, &s)
		r.firstCopy.CompareAndSwap(0, int64(time.Since(r.start)))
	}
	switch n := int(r.copies[i].Add(int32(rcpts))); {
	case n > r.recipients:
		r.duplicates.Add(1)
	case n == r.recipients:
		r.complete[i] = int64(time.Since(r.start))
		if r.open.Add(-1) == 0 {
			close(r.done)
		}
	}
}

// Run sends the messages and waits until all have arrived, or ctx ends.
func Run(ctx context.Context, o Options) (Result, error) {
	if o.To == nil {
		o.To = Recipient
	}
	body := newBody(o.Size, o.To)
	if o.Away {
		if err := o.Sink.Away(); err != nil {
			return Result{}, err
		}
	}
	r := newRun(o)
	o.Sink.run.Store(r)
	defer o.Sink.run.Store(nil)
	retries, err := r.send(ctx, o, body)
	if err != nil {
		return Result{}, err
	}
	out := Result{Accepted: time.Since(r.start), Retries: retries}
	if err := o.Sink.Back(); err != nil {
		return Result{}, err
	}
	select {
	case <-r.done:
	case <-ctx.Done():
		return Result{}, fmt.Errorf("%d of %d messages have not arrived: %w", r.open.Load(), o.Messages, ctx.Err())
	}
	out.Delivered = time.Duration(slices.Max(r.complete))
	if o.Away {
		out.Waited = time.Duration(r.firstCopy.Load()) - out.Accepted
	}
	for i, t := range r.complete {
		out.Latency = append(out.Latency, time.Duration(t-r.begun[i]))
	}
	slices.Sort(out.Latency)
	out.Duplicates, out.Sample = int(r.duplicates.Load()), *r.sample.Load()
	return out, nil
}
