package main

import (
	"context"
	_ "embed"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/template"
	"time"

	"sealpost/internal/bench/keyload"
)

// A report is what the page shows.
type report struct {
	options
	payload int64
	cpus    string
	date    time.Time
	lines   []line
	issued  string // the table of issuing
}

// A line is one thing that both did.
type line struct {
	what         string
	ours, theirs float64
	against      float64 // what ours is compared with, where it is not theirs
	unit         string
	aim          float64 // ours by theirs, at least; 0: none
	least        float64 // ours, at least; 0: none
}

func (r *report) imports(ours, theirs *system) {
	n := float64(r.n)
	r.lines = append(r.lines,
		line{what: "import", unit: "rows/s", ours: n / ours.imported.Seconds(), theirs: n / theirs.imported.Seconds(), least: 75000},
		line{what: "disk by payload", unit: "times", ours: float64(ours.disk) / float64(r.payload), theirs: float64(theirs.disk) / float64(r.payload)},
		line{what: "start until the index answers", unit: "s", ours: ours.indexed.Seconds()},
	)
}

// A question is a way to ask.
type question struct {
	what               string
	connections, batch int
	aim                float64
}

// measure lets both take turns.
func (r *report) measure(ctx context.Context, ours, theirs *system, progress io.Writer) error {
	for _, q := range []question{
		{"lookups, 10 connections", 10, 1, 1.5}, {"lookups, 50 connections", 50, 1, 0}, {"batches of 100, 10 connections", 10, 100, 2},
	} {
		if err := r.compare(ctx, q, ours, theirs, progress); err != nil {
			return err
		}
	}
	feed, err := ours.feed(ctx)
	r.lines = append(r.lines, line{what: "feed from its beginning", unit: "changes/s", ours: feed})
	return err
}

func (r *report) compare(ctx context.Context, q question, ours, theirs *system, progress io.Writer) error {
	var rates, cost [2][]float64
	for range r.rounds {
		for i, s := range []*system{ours, theirs} {
			before := s.cpu()
			got, err := keyload.Run(ctx, keyload.Options{
				Addr: s.addr, Protocol: s.protocol, Known: r.n, Connections: q.connections, Batch: q.batch, Time: r.seconds,
			})
			if err != nil {
				return fmt.Errorf("%s: %w", q.what, err)
			}
			rates[i] = append(rates[i], got.Rate())
			cost[i] = append(cost[i], float64((s.cpu()-before).Microseconds())/float64(got.Addresses))
		}
	}
	r.lines = append(r.lines,
		line{what: q.what, unit: "addresses/s", ours: median(rates[0]), theirs: median(rates[1]), aim: q.aim},
		line{what: q.what + ", processor of the server", unit: "us an address", ours: median(cost[0]), theirs: median(cost[1])})
	fmt.Fprintf(progress, "%s: %.0f and %.0f a second\n", q.what, median(rates[0]), median(rates[1]))
	return nil
}

func median(values []float64) float64 {
	v := slices.Sorted(slices.Values(values))
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

func (r *report) table() string {
	var b strings.Builder
	b.WriteString("| | Sealpost | OpenLDAP | | ratio | aim |\n|---|--:|--:|---|--:|--:|\n")
	for _, l := range r.lines {
		theirs, ratio, aim := "", "", ""
		if l.theirs > 0 {
			theirs, ratio = number(l.theirs), fmt.Sprintf("%.2f", l.ours/l.theirs)
		}
		if l.against > 0 {
			ratio = fmt.Sprintf("%.2f", l.ours/l.against)
		}
		switch {
		case l.aim > 0:
			aim = fmt.Sprintf("%.1f times", l.aim)
		case l.least > 0:
			aim = number(l.least)
		case l.what == "disk by payload":
			aim = "1.2 at most"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", l.what, number(l.ours), theirs, l.unit, ratio, aim)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func number(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

//go:embed page.md.tmpl
var pageTemplate string

func (r *report) write(w io.Writer) error {
	t, err := template.New("page").Parse(pageTemplate)
	if err != nil {
		return err
	}
	return t.Execute(w, map[string]any{
		"N": r.n, "MB": r.payload / 1e6, "Rounds": r.rounds, "Seconds": r.seconds, "CPU": r.cpus,
		"Date": r.date.Format(time.DateOnly), "Table": r.table(), "Issuing": r.issued, "Short": r.n < 1_000_000,
	})
}

// cpus names the machine's processors.
func cpus() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown"
	}
	name := ""
	for l := range strings.Lines(string(text)) {
		if k, v, ok := strings.Cut(l, ":"); ok && strings.TrimSpace(k) == "model name" {
			name = strings.TrimSpace(v)
		}
	}
	return fmt.Sprintf("%d x %s", strings.Count(string(text), "model name"), name)
}
