package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"sealpost/internal/bench/load"
)

// A memoryCheck loads a fresh process and looks at its resident size.
type memoryCheck struct {
	name   string
	target int64 // MiB
	load   func(ctx context.Context, s *system) (kib int64, err error)
}

// A memoryResult is the resident size that a check has found.
type memoryResult struct {
	memoryCheck
	kib int64
}

func memoryChecks() []memoryCheck {
	return []memoryCheck{
		{"one message of 100 MB", 64, peakAfter(shape{100_000_000, 1, 1}, 1)},
		{"50 sessions with messages of 1 MB", 128, peakAfter(shape{1_000_000, 1, 50}, 500)},
		{"1000 idle connections", 64, idle(0)},
		{"1000 idle connections, each after a message of 50 KB", 64, idle(50_000)},
	}
}

// checkMemory runs each check in a process of its own.
func checkMemory(ctx context.Context, o sealpost, dir string, progress io.Writer) ([]memoryResult, error) {
	var out []memoryResult
	for i, c := range memoryChecks() {
		s, err := o.start(ctx, filepath.Join(dir, fmt.Sprintf("memory%d", i)))
		if err != nil {
			return nil, err
		}
		kib, err := c.load(ctx, s)
		s.proc.stop()
		s.sink.Close()
		if err != nil {
			return nil, fmt.Errorf("%s: %w\n%s", c.name, err, tail(s.proc.log))
		}
		fmt.Fprintf(progress, "%s: %.1f MiB, target %d MiB\n", c.name, float64(kib)/1024, c.target)
		out = append(out, memoryResult{c, kib})
	}
	return out, nil
}

func peakAfter(sh shape, n int) func(context.Context, *system) (int64, error) {
	return func(ctx context.Context, s *system) (int64, error) {
		_, err := s.measure(ctx, sh, n)
		return s.proc.tree().peakRSS(), err
	}
}

// idle opens connections and leaves them alone for a while; what was used to
// set them up may then have been given back.
func idle(size int) func(context.Context, *system) (int64, error) {
	return func(ctx context.Context, s *system) (kib int64, err error) {
		ctx, cancel := context.WithTimeout(ctx, runTime)
		defer cancel()
		for range 1000 {
			c, err := load.DialIdle(ctx, s.addr, size)
			if err != nil {
				return 0, err
			}
			defer c.Close()
		}
		select {
		case <-time.After(2 * time.Second):
		case <-ctx.Done():
			return 0, ctx.Err()
		}
		return s.proc.tree().peakRSS(), nil
	}
}
