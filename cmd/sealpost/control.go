package main

import (
	"context"

	"sealpost/internal/address"
	"sealpost/relay/control"
)

// startControl lets commands ask the running server; nil where the
// configuration has no socket for it.
func (s *server) startControl() (*control.Server, error) {
	if s.config.Control == "" {
		return nil, nil
	}
	opt := control.Options{Path: string(s.config.Control), Log: s.log}
	if s.waiting != nil {
		forget := func(a address.Address) { s.rooms.Load().forget(a) }
		opt.Queue = operated{s.waiting.engine, forget}
	}
	return control.Listen(opt)
}

// stopControl ends what startControl began.
func (s *server) stopControl(ctx context.Context) error {
	if s.control == nil {
		return nil
	}
	return s.control.Stop(ctx)
}
