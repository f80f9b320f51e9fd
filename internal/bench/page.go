package main

import (
	_ "embed"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/template"
	"time"
)

// A report is everything that the page shows.
type report struct {
	Short   bool
	Machine []fact
	Rows    []row
	Memory  []memoryResult
	Micro   []microbenchmark
	Took    time.Duration
}

//go:embed page.md.tmpl
var pageTemplate string

// write makes the page.
func (r report) write(w io.Writer) error {
	t, err := template.New("page").Parse(pageTemplate)
	if err != nil {
		return err
	}
	return t.Execute(w, map[string]any{
		"Short": r.Short, "Took": r.Took.Round(time.Second), "Rounds": len(r.Rows[0].rounds),
		"Machine": r.machine(), "Targets": r.targets(), "Memory": r.memory(), "All": r.all(), "Micro": r.micro(),
		"Foreign": fmt.Sprintf("%.2f", r.foreign()),
	})
}

// A table is written in Markdown.
type table struct {
	head []string
	rows [][]string
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// String is the table; all columns but the first are numbers.
func (t *table) String() string {
	var b strings.Builder
	line := func(cells []string) { fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | ")) }
	line(t.head)
	b.WriteString("|---" + strings.Repeat("|--:", len(t.head)-1) + "|\n")
	for _, cells := range t.rows {
		line(cells)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func (r report) machine() *table {
	t := &table{head: []string{"machine", ""}}
	for _, f := range r.Machine {
		t.add(f.name, f.value)
	}
	return t
}

// find gives the row of a system under a load.
func (r report) find(sh shape, system string) (row, bool) {
	i := slices.IndexFunc(r.Rows, func(x row) bool { return x.shape == sh && x.system == system })
	if i < 0 {
		return row{}, false
	}
	return r.Rows[i], true
}

// targets sets what was reached beside what was to be reached. What the binary
// cannot do yet has no line.
func (r report) targets() *table {
	t := &table{head: []string{"load", "x Postfix plain", "target", "x Postfix + filter", "target", "CPU ms a message", "target", "reached"}}
	for _, want := range targets() {
		got, ok := r.find(want.shape, want.system)
		base, okPlain := r.find(want.shape, plain)
		classic, okFilter := r.find(want.shape, filter)
		if !ok || !okPlain || !okFilter {
			continue
		}
		a, b, cpu := got.times(base), got.times(classic), got.cpu()
		reached := "yes"
		if a.median < want.plain || b.median < want.filter || cpu.median > want.cpuMilliseconds {
			reached = "no"
		}
		t.add(fmt.Sprintf("%s: %s", want.shape, strings.TrimPrefix(want.system, "Sealpost, ")),
			ratio(a), number(want.plain), ratio(b), number(want.filter), number(cpu.median), number(want.cpuMilliseconds), reached)
	}
	return t
}

func (r report) memory() *table {
	t := &table{head: []string{"load", "peak resident size, MiB", "target"}}
	for _, m := range r.Memory {
		t.add(m.name, fmt.Sprintf("%.1f", float64(m.kib)/1024), fmt.Sprintf("%d", m.target))
	}
	return t
}

func (r report) all() *table {
	t := &table{head: []string{"load and system", "arrived/s", "x plain", "taken/s", "CPU ms a message", "peak PSS, MiB", "p50", "p99"}}
	last := shape{}
	for _, x := range r.Rows {
		if x.shape != last {
			t.add("**"+x.shape.String()+"**", "", "", "", "", "", "", "")
			last = x.shape
		}
		times := ""
		if base, ok := r.find(x.shape, plain); ok && x.system != plain {
			times = ratio(x.times(base))
		}
		cpu, pss, p50, p99 := "", "", milliseconds(x.p50()), milliseconds(x.p99())
		if x.system == spooled {
			p50, p99 = "", "" // how long the sink was away
		}
		if x.system != nothing {
			cpu, pss = number(x.cpu().median), fmt.Sprintf("%.0f", float64(x.pss())/1024)
		}
		rate := x.rate()
		t.add(x.system, fmt.Sprintf("%s (%s..%s)", number(rate.median), number(rate.min), number(rate.max)),
			times, number(x.accepted().median), cpu, pss, p50, p99)
	}
	return t
}

func (r report) micro() *table {
	t := &table{head: []string{"benchmark", "µs", "MB/s", "bytes allocated", "allocations"}}
	room := ""
	for _, m := range r.Micro {
		if m.room != room {
			room = m.room
			t.add("**"+room+"**", "", "", "", "")
		}
		speed := ""
		if v, ok := m.values["MB/s"]; ok {
			speed = number(v)
		}
		t.add(m.name, number(m.values["ns/op"]/1000), speed, fmt.Sprintf("%.0f", m.values["B/op"]), fmt.Sprintf("%.0f", m.values["allocs/op"]))
	}
	return t
}

// foreign is the median, over all runs, of the processors that others used.
func (r report) foreign() float64 {
	var v []float64
	for _, x := range r.Rows {
		for _, s := range x.rounds {
			v = append(v, s.foreign)
		}
	}
	return spreadOf(v).median
}

func ratio(s spread) string {
	return fmt.Sprintf("%s (%s..%s)", number(s.median), number(s.min), number(s.max))
}

// number writes three significant digits, without an exponent.
func number(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	case v >= 1:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.3f", v)
}

func milliseconds(d time.Duration) string { return number(float64(d)/1e6) + " ms" }
