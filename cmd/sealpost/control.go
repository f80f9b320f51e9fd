package main

import (
	"context"
	"errors"
	"maps"

	"sealpost/internal/address"
	"sealpost/relay/control"
)

// startControl lets commands ask the running server; nil where the
// configuration has no socket for it.
func (s *server) startControl() (*control.Server, error) {
	if s.config.Control == "" {
		return nil, nil
	}
	opt := control.Options{Path: string(s.config.Control), Log: s.log, Calls: map[string]control.Call{
		callKeyList:  keyCall(s, fileDesk.list),
		callKeyLoad:  keyCall(s, fileDesk.load),
		callKeyOrder: keyCall(s, fileDesk.order),
	}}
	maps.Copy(opt.Calls, s.lookupCalls())
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

// keyCall lets commands use the server's memory of keys.
func keyCall[Q, A any](s *server, do func(fileDesk, context.Context, Q) (A, error)) control.Call {
	return control.NewCall(func(ctx context.Context, question Q) (answer A, err error) {
		if s.known == nil {
			return answer, errors.New("it remembers no keys, as it was started without trust.known_keys: restart it")
		}
		return do(fileDesk{s.known, s.flush, &s.keyWords}, ctx, question)
	})
}

// flush drops what is remembered of an address, in memory and on disk, before
// it returns.
func (s *server) flush(a address.Address) error {
	s.swapping.Lock()
	s.rooms.Load().forget(a)
	s.swapping.Unlock()
	if s.cacheFile == nil {
		return nil
	}
	return s.cacheFile.Sync()
}
