package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"sealpost/internal/bench/load"
)

// A shape is one kind of load.
type shape struct {
	size       int // octets of a message
	recipients int
	sessions   int
}

func (s shape) String() string {
	size := fmt.Sprintf("%d KB", s.size/1000)
	if s.size >= 1_000_000 {
		size = fmt.Sprintf("%d MB", s.size/1_000_000)
	}
	if s.recipients > 1 {
		size += fmt.Sprintf(" to %d recipients", s.recipients)
	}
	if s.sessions == 1 {
		return size + ", 1 session"
	}
	return fmt.Sprintf("%s, %d sessions", size, s.sessions)
}

// A sample is what one round has shown of one system.
type sample struct {
	rate     float64 // messages a second that arrived with all their copies, without the pause of a sink that was away
	accepted float64 // messages a second that the system took
	cpu      float64 // milliseconds of processor time a message, whole process tree
	pss      int64   // KiB, peak
	p50, p99 time.Duration
	foreign  float64 // processors that were busy with something else
	retries  int
}

// runTime is when a run is given up. A filter with a backlog takes its time.
const runTime = 3 * time.Minute

// measure sends n messages through the system.
func (s *system) measure(ctx context.Context, sh shape, n int) (sample, error) {
	ctx, cancel := context.WithTimeout(ctx, runTime)
	defer cancel()
	peak := s.watchMemory(ctx)
	tree, own, host, start := s.cpu(), ownCPU(), hostCPU(), time.Now()
	r, err := load.Run(ctx, load.Options{
		Server: s.addr, Sink: s.sink, Size: sh.size, Recipients: sh.recipients, Sessions: sh.sessions,
		Messages: n, Away: s.away,
	})
	if err != nil {
		return sample{}, s.failed(sh, err)
	}
	wall := time.Since(start)
	cpu := s.cpu() - tree
	foreign := hostCPU() - host - cpu - (ownCPU() - own)
	out := sample{
		rate: float64(n) / (r.Delivered - r.Waited).Seconds(), accepted: float64(n) / r.Accepted.Seconds(),
		cpu: cpu.Seconds() * 1000 / float64(n), pss: peak(), p50: r.Percentile(0.5), p99: r.Percentile(0.99),
		foreign: max(0, foreign.Seconds()/wall.Seconds()), retries: r.Retries,
	}
	if r.Duplicates > 0 {
		return out, s.failed(sh, fmt.Errorf("%d messages arrived twice", r.Duplicates))
	}
	// A relay that does not seal is fast.
	if unfolded := strings.Join(strings.Fields(r.Sample), " "); !strings.Contains(unfolded, s.proof) {
		return out, s.failed(sh, fmt.Errorf("what arrives does not hold %q:\n%s", s.proof, r.Sample))
	}
	return out, nil
}

func (s *system) failed(sh shape, err error) error {
	log := ""
	if s.proc != nil {
		log = "\n" + tail(s.proc.log)
	}
	return fmt.Errorf("%s, %s: %w%s", s.name, sh, err, log)
}

func (s *system) cpu() time.Duration {
	if s.proc == nil {
		return 0
	}
	return s.proc.tree().cpu()
}

// watchMemory samples the system's memory until the function it returns is
// called for the peak.
func (s *system) watchMemory(ctx context.Context) func() int64 {
	if s.proc == nil {
		return func() int64 { return 0 }
	}
	ctx, cancel := context.WithCancel(ctx)
	peak := make(chan int64, 1)
	go func() { peak <- s.proc.tree().peakPSS(ctx, 400*time.Millisecond) }()
	return func() int64 {
		cancel()
		return <-peak
	}
}

// warm fills the caches: one message to each recipient, in twenties.
func (s *system) warm(ctx context.Context) error {
	if s.away {
		return nil // Sealpost gives its copies to the spool at once
	}
	_, err := s.measure(ctx, shape{size: 5000, recipients: 20, sessions: 2}, load.People/20)
	return err
}
