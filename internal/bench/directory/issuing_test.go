package main

import (
	"strings"
	"testing"
)

// Every line of the page comes from a benchmark's median.
func TestIssuingTable(t *testing.T) {
	out := "cpu: x\n"
	for _, l := range issuing {
		for _, ns := range []string{"2000000", "1000000", "500000.5"} {
			out += "Benchmark" + l.bench + "  \t 10\t " + ns + " ns/op\n"
		}
	}
	table := issuingTable(parseRates(out + "PASS\n"))
	if n := strings.Count(table, "| 1000 |"); n != len(issuing) {
		t.Errorf("%d lines with the median, want %d:\n%s", n, len(issuing), table)
	}
}
