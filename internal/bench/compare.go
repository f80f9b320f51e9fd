package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"time"
)

// A plan says what is measured, and for how long.
type plan struct {
	shapes    []shape
	rounds    int
	each      time.Duration // of one run of one system, about
	benchTime string        // of each Go benchmark
}

// fullPlan takes less than fifteen minutes, shortPlan about two.
func fullPlan() plan {
	p := plan{rounds: 3, each: 1800 * time.Millisecond, benchTime: "200ms"}
	for _, s := range []shape{{5000, 1, 0}, {50_000, 1, 0}, {1_000_000, 1, 0}, {50_000, 20, 0}} {
		for _, s.sessions = range []int{1, 10, 50} {
			p.shapes = append(p.shapes, s)
		}
	}
	return p
}

func shortPlan() plan {
	return plan{
		rounds: 3, each: 600 * time.Millisecond, benchTime: "20ms",
		shapes: []shape{{5000, 1, 10}, {50_000, 1, 10}, {1_000_000, 1, 10}, {50_000, 20, 10}, {5000, 1, 50}},
	}
}

// A row is what all rounds have shown of one system under one load.
type row struct {
	shape  shape
	system string
	rounds []sample
}

// compare measures every system under every load. The systems take turns
// within a round, so that whatever else happens on the machine happens to all
// of them.
func compare(ctx context.Context, p plan, systems []*system, progress io.Writer) ([]row, error) {
	var all []row
	for _, sh := range p.shapes {
		rows := make([]row, len(systems))
		counts := make([]int, len(systems))
		for i, s := range systems {
			rows[i] = row{shape: sh, system: s.name}
			probe, err := s.measure(ctx, sh, fewest(sh))
			if err != nil {
				return nil, err
			}
			counts[i] = p.count(sh, probe.rate)
		}
		for range p.rounds {
			for i, s := range systems {
				got, err := s.measure(ctx, sh, counts[i])
				if err != nil {
					return nil, err
				}
				counts[i] = p.count(sh, got.rate)
				rows[i].rounds = append(rows[i].rounds, got)
			}
		}
		for _, r := range rows {
			fmt.Fprintf(progress, "%-34s %-32s %9.1f/s  %8.3f ms CPU  %6.1f MiB  p50 %-10v p99 %v\n", sh, r.system,
				r.rate().median, r.cpu().median, float64(r.pss())/1024, r.p50().Round(time.Microsecond), r.p99().Round(time.Microsecond))
		}
		all = append(all, rows...)
	}
	return all, nil
}

// fewest is how many messages a run has at least.
func fewest(sh shape) int { return max(10, sh.sessions) }

// count is how many messages keep a system of that rate busy for the time of
// one run.
func (p plan) count(sh shape, rate float64) int {
	return min(max(fewest(sh), int(rate*p.each.Seconds())), 200_000)
}

// A spread is a median with its extremes.
type spread struct{ median, min, max float64 }

func spreadOf(values []float64) spread {
	if len(values) == 0 {
		return spread{}
	}
	v := slices.Sorted(slices.Values(values))
	n := len(v)
	return spread{(v[(n-1)/2] + v[n/2]) / 2, v[0], v[n-1]}
}

func over(rounds []sample, f func(sample) float64) spread {
	var v []float64
	for _, s := range rounds {
		v = append(v, f(s))
	}
	return spreadOf(v)
}

func (r row) rate() spread     { return over(r.rounds, func(s sample) float64 { return s.rate }) }
func (r row) accepted() spread { return over(r.rounds, func(s sample) float64 { return s.accepted }) }
func (r row) cpu() spread      { return over(r.rounds, func(s sample) float64 { return s.cpu }) }
func (r row) p50() time.Duration {
	return time.Duration(over(r.rounds, func(s sample) float64 { return float64(s.p50) }).median)
}
func (r row) p99() time.Duration {
	return time.Duration(over(r.rounds, func(s sample) float64 { return float64(s.p99) }).median)
}
func (r row) pss() int64 {
	return slices.MaxFunc(r.rounds, func(a, b sample) int { return cmp.Compare(a.pss, b.pss) }).pss
}

// times is how much faster r was than base, round by round.
func (r row) times(base row) spread {
	var v []float64
	for i := range min(len(r.rounds), len(base.rounds)) {
		v = append(v, r.rounds[i].rate/base.rounds[i].rate)
	}
	return spreadOf(v)
}
