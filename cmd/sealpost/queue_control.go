package main

import (
	"context"

	"sealpost/internal/address"
	"sealpost/relay/queue"
)

// operated is the queue under an operator's hand.
type operated struct {
	*queue.Engine
	forget func(address.Address) // what is remembered of its certificates
}

// Retry asks the sources themselves about those without a certificate: what is
// remembered of them is what the operator knows to be out of date.
func (q operated) Retry(ctx context.Context, f queue.Filter) (queue.Changed, error) {
	for row, err := range q.List(ctx, f) {
		if err != nil {
			return queue.Changed{}, err
		}
		for _, r := range row.Recipients {
			if a, err := address.Parse(r.Address); err == nil && r.State == queue.NoKey {
				q.forget(a)
			}
		}
	}
	return q.Engine.Retry(ctx, f)
}
