package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"time"

	"sealpost/internal/address"
	"sealpost/relay/queue"
)

type queueShapeCommand struct {
	spoolAccess
	queueFilter
	By string `enum:"recipient,sender" default:"recipient" help:"Whose domain: recipient or sender."`
}

// Run counts recipients by domain and age, in the form of Postfix's qshape.
func (c queueShapeCommand) Run(ctx context.Context, s streams) (err error) {
	filter, err := c.filter()
	if err != nil {
		return err
	}
	q, err := c.open(ctx, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, q.close()) }()
	shape, err := newShape(named(q.List(ctx, filter)), time.Now(), c.By == "sender")
	if err != nil {
		return err
	}
	if c.JSON {
		return writeJSONLines(s.Out, func(yield func(shapeLine, error) bool) {
			for _, l := range shape {
				if !yield(l, nil) {
					return
				}
			}
		})
	}
	return printShape(s.Out, shape)
}

// shapeMinutes are the upper ends of the age buckets; one more has the rest.
var shapeMinutes = [...]int{5, 10, 20, 40, 80, 160, 320, 640, 1280}

// A shapeLine is one domain, or with an empty name the total. Ages has the
// recipients in each bucket of age: up to 5 minutes, 10, 20, … 1280, and more.
type shapeLine struct {
	Domain string                     `json:"domain"`
	Total  int                        `json:"total"`
	Ages   [len(shapeMinutes) + 1]int `json:"ages"`
}

func (l *shapeLine) add(bucket int) {
	l.Total++
	l.Ages[bucket]++
}

// newShape counts; the total comes first, then the domains with the most.
func newShape(rows iter.Seq2[queue.Row, error], now time.Time, bySender bool) ([]shapeLine, error) {
	var total shapeLine
	domains := map[string]*shapeLine{}
	for row, err := range rows {
		if err != nil {
			return nil, err
		}
		bucket := shapeBucket(now.Sub(time.Unix(row.ArrivalTime, 0)))
		for _, r := range row.Recipients {
			name := domainOf(r.Address)
			if bySender {
				name = domainOf(row.Sender)
			}
			if domains[name] == nil {
				domains[name] = &shapeLine{Domain: name}
			}
			domains[name].add(bucket)
			total.add(bucket)
		}
	}
	shape := []shapeLine{total}
	for _, l := range domains {
		shape = append(shape, *l)
	}
	slices.SortFunc(shape[1:], func(a, b shapeLine) int {
		return cmp.Or(cmp.Compare(b.Total, a.Total), cmp.Compare(a.Domain, b.Domain))
	})
	return shape, nil
}

func shapeBucket(age time.Duration) int {
	for i, minutes := range shapeMinutes {
		if age <= time.Duration(minutes)*time.Minute {
			return i
		}
	}
	return len(shapeMinutes)
}

// domainOf is the domain that an address counts for; the null sender is one of
// its own.
func domainOf(text string) string {
	if a, err := address.Parse(text); err == nil {
		return a.ASCIIDomain()
	}
	return cmp.Or(text, unknown)
}

// printShape writes columns that are as wide as their numbers.
func printShape(w io.Writer, shape []shapeLine) error {
	table := [][]string{{"", "T"}}
	for _, minutes := range shapeMinutes {
		table[0] = append(table[0], fmt.Sprint(minutes))
	}
	table[0] = append(table[0], fmt.Sprint(shapeMinutes[len(shapeMinutes)-1], "+"))
	for i, l := range shape {
		name := printable(l.Domain)
		if i == 0 {
			name = "TOTAL"
		}
		cells := []string{name, fmt.Sprint(l.Total)}
		for _, n := range l.Ages {
			cells = append(cells, fmt.Sprint(n))
		}
		table = append(table, cells)
	}
	width := make([]int, len(table[0]))
	for _, cells := range table {
		for i, c := range cells {
			width[i] = max(width[i], len([]rune(c)))
		}
	}
	out := bufio.NewWriter(w)
	for _, cells := range table {
		var b strings.Builder
		for i, c := range cells {
			fmt.Fprintf(&b, "%*s ", width[i], c)
		}
		fmt.Fprintln(out, strings.TrimRight(b.String(), " "))
	}
	return out.Flush()
}
