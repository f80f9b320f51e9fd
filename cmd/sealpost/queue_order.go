package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"sealpost/relay/control"
	"sealpost/relay/queue"
)

// An order is what an operator has done to messages.
type order struct {
	done   string // in the past tense, for the result
	asleep string // what to know when no server runs
	do     func(control.Queue, context.Context, queue.Filter) (queue.Changed, error)
}

type queueRetryCommand struct {
	spoolAccess
	queueFilter
}

// Run makes messages due.
func (c queueRetryCommand) Run(ctx context.Context, s streams) error {
	return c.order(ctx, s, c.queueFilter, order{
		done: "to be tried now", asleep: "they are tried when the server starts", do: control.Queue.Retry,
	})
}

// wary are the orders that want to be told that everything is meant.
type wary struct {
	spoolAccess
	queueFilter
	All bool `help:"Everything that waits."`
}

// run wants either conditions or --all.
func (c wary) run(ctx context.Context, s streams, o order) error {
	if c.All != c.empty() {
		return usageError{errors.New("sealpost: name ids or conditions, or say --all for everything that waits, but not both")}
	}
	return c.order(ctx, s, c.queueFilter, o)
}

type queueHoldCommand struct{ wary }

// Run keeps messages.
func (c queueHoldCommand) Run(ctx context.Context, s streams) error {
	return c.run(ctx, s, order{done: "on hold now", do: control.Queue.Hold})
}

type queueReleaseCommand struct{ wary }

// Run ends hold.
func (c queueReleaseCommand) Run(ctx context.Context, s streams) error {
	return c.run(ctx, s, order{
		done: "released", asleep: "they are tried when the server starts", do: control.Queue.Release,
	})
}

type queueDeleteCommand struct{ wary }

// Run removes messages.
func (c queueDeleteCommand) Run(ctx context.Context, s streams) error {
	return c.run(ctx, s, order{done: "deleted", do: control.Queue.Delete})
}

// order carries out an order, and says how much it concerned. An id that is
// not in the queue is an error, and then nothing is done.
func (a spoolAccess) order(ctx context.Context, s streams, f queueFilter, o order) (err error) {
	filter, err := f.filter()
	if err != nil {
		return err
	}
	q, err := a.open(ctx, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, q.close()) }()
	if err := q.know(ctx, filter.IDs); err != nil {
		return err
	}
	n, err := o.do(q.Queue, ctx, filter)
	if err != nil {
		return err
	}
	if !q.running && o.asleep != "" && n.Parcels > 0 {
		fmt.Fprintln(s.Err, "sealpost:", o.asleep)
	}
	if a.JSON {
		return json.NewEncoder(s.Out).Encode(n)
	}
	_, err = fmt.Fprintf(s.Out, "%s of %s %s\n", count(n.Parcels, "recipient"), count(n.Messages, "message"), o.done)
	return err
}

// know checks that something waits under each id.
func (q *openQueue) know(ctx context.Context, ids []string) error {
	var missing error
	for _, id := range ids {
		known := false
		for _, err := range q.List(ctx, queue.Filter{IDs: []string{id}}) {
			if err != nil {
				return err
			}
			known = true
		}
		if !known {
			missing = errors.Join(missing, fmt.Errorf("%s is not in the queue: nothing was done", id))
		}
	}
	return missing
}

// count is a number with its noun.
func count(n int, noun string) string {
	switch {
	case n == 1:
	case strings.HasSuffix(noun, "s"):
		noun += "es"
	default:
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}
