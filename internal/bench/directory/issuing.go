package main

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
)

// issuing are the Go benchmarks of directory/ca that the page shows, in its
// order, and what the best known of this kind do on one core.
var issuing = []struct {
	bench, what string
	anchor      float64 // a second
}{
	{"Key/rsa-2048", "RSA 2048 keys, without the pool", 20},
	{"Issue/rsa-2048", "certificates, signed with RSA 2048", 1155},
	{"HandOut/rsa-2048", "certificate and PKCS #12 for an RSA 2048 key of the pool", 565},
	{"Key/p-256", "P-256 keys", 72700},
	{"Issue/p-256", "certificates, signed with P-256", 8145},
	{"HandOut/p-256", "certificate and PKCS #12 for a P-256 key", 980},
}

// issue measures on one core.
func (r *report) issue(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", "^Benchmark(Key|Issue|HandOut)$", "-cpu", "1",
		"-benchtime", r.seconds.String(), "-count", strconv.Itoa(r.rounds), "./directory/ca")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("go test -bench: %w\n%s%s", err, out, stderr.String())
	}
	r.issued = issuingTable(parseRates(string(out)))
	return nil
}

var benchLine = regexp.MustCompile(`(?m)^Benchmark(\S+)\s+\d+\s+([0-9.]+) ns/op`)

// parseRates reads the output of go test: how many a second, for each benchmark
// as often as it ran.
func parseRates(out string) map[string][]float64 {
	rates := map[string][]float64{}
	for _, m := range benchLine.FindAllStringSubmatch(out, -1) {
		if ns, err := strconv.ParseFloat(m[2], 64); err == nil && ns > 0 {
			rates[m[1]] = append(rates[m[1]], 1e9/ns)
		}
	}
	return rates
}

func issuingTable(rates map[string][]float64) string {
	var b strings.Builder
	b.WriteString("| on one core | a second | measured ceiling | of it |\n|---|--:|--:|--:|\n")
	for _, l := range issuing {
		if got := rates[l.bench]; len(got) > 0 {
			fmt.Fprintf(&b, "| %s | %s | %s | %.0f %% |\n", l.what, number(median(got)), number(l.anchor), 100*median(got)/l.anchor)
		}
	}
	return strings.TrimSuffix(b.String(), "\n")
}
