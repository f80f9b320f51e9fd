package main

import (
	"context"

	"sealpost/internal/address"
	"sealpost/relay/control"
	"sealpost/relay/queue"
)

// startControl lets `sealpost queue` ask the running server; nil without a
// spool.
func (s *server) startControl() (*control.Server, error) {
	if s.waiting == nil {
		return nil, nil
	}
	forget := func(a address.Address) { s.rooms.Load().forget(a) }
	return control.Listen(control.Options{
		Dir: string(s.config.Spool.Dir), Queue: operated{s.waiting.engine, forget}, Log: s.log,
	})
}

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

// stopControl ends what startControl began.
func (s *server) stopControl(ctx context.Context) error {
	if s.control == nil {
		return nil
	}
	return s.control.Stop(ctx)
}
