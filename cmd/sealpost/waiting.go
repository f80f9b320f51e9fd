package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"sealpost/config"
	"sealpost/relay"
	"sealpost/relay/queue"
	"sealpost/relay/spool"
)

// A waitingRoom is the spool with the engine that empties it. It outlives
// reloads.
type waitingRoom struct {
	store  *spool.Store
	engine *queue.Engine
}

// openWaitingRoom opens the spool; nil where the configuration has none.
func openWaitingRoom(cfg *config.Config, m *metrics, log *slog.Logger) (*waitingRoom, error) {
	if cfg.Spool == nil {
		return nil, nil
	}
	key, err := spoolKey(cfg.Spool, log)
	if err != nil {
		return nil, err
	}
	store, err := spool.Open(spool.Options{Dir: string(cfg.Spool.Dir), Identity: key, Limit: int64(cfg.Spool.Size), Log: log})
	if err != nil {
		return nil, fmt.Errorf("spool.dir: %w", err)
	}
	engine, err := queue.New(queue.Options{
		Store: store, Hostname: cfg.Hostname, Times: queueTimes(cfg.Spool), Workers: cfg.Spool.Deliveries,
		Observe: relay.ObserveQueue(log, m.relay), Log: log,
	})
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return &waitingRoom{store, engine}, nil
}

// spoolKey reads the spool's own key. It is made when neither it nor the spool
// is there; a spool whose key is gone is never given another one.
func spoolKey(s *config.Spool, log *slog.Logger) (*spool.Key, error) {
	_, err := os.Stat(string(s.KeyFile))
	if !errors.Is(err, os.ErrNotExist) || spool.Exists(string(s.Dir)) {
		return spool.LoadKey(string(s.KeyFile))
	}
	key, err := spool.GenerateKey(string(s.KeyFile))
	if err == nil {
		log.Warn("spool key made: keep a copy of it elsewhere, for without it nothing in the spool can be delivered",
			"key_file", string(s.KeyFile), "fingerprint", key.Fingerprint())
	}
	return key, err
}

func queueTimes(s *config.Spool) queue.Times {
	return queue.Times{
		Retry: s.Retry, Expire: s.Expire, DelayAfter: off(s.DelayNotice),
		HoldRecheck: s.HoldRecheck, HoldExpire: s.HoldExpire,
	}
}

// waiting is what the relay's settings say about the queue.
func (w *waitingRoom) waiting(cfg *config.Config) *relay.Waiting {
	if w == nil || cfg.Spool == nil {
		return nil
	}
	return &relay.Waiting{
		Queue: w.engine, Patience: cfg.Spool.Patience, Trouble: cfg.OnTrouble == "spool",
		Invite: cfg.Spool.HoldNotice, HoldExpire: cfg.Spool.HoldExpire,
	}
}

// adjust applies what a reload may change.
func (w *waitingRoom) adjust(cfg *config.Config) {
	if w != nil {
		w.engine.Adjust(queueTimes(cfg.Spool))
	}
}

// sameSpool reports that what only a restart can change has not changed.
func sameSpool(a, b *config.Spool) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Dir == b.Dir && a.KeyFile == b.KeyFile && a.Size == b.Size && a.Deliveries == b.Deliveries
}

func (w *waitingRoom) start(r *relay.Relay) {
	if w != nil {
		w.engine.Start(r, r)
	}
}

// stop lets deliveries under way finish until ctx ends. What waits is on the
// disk.
func (w *waitingRoom) stop(ctx context.Context) error {
	if w == nil {
		return nil
	}
	w.engine.Stop(ctx)
	return w.store.Close()
}
