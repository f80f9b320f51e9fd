package main

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
)

// A microbenchmark is one line of `go test -bench`.
type microbenchmark struct {
	room, name string
	values     map[string]float64 // by unit: ns/op, MB/s, B/op, allocs/op
}

// microbenchmarks runs the Go benchmarks of the rooms on a message's way.
func microbenchmarks(ctx context.Context, benchTime string) ([]microbenchmark, error) {
	const which = "^Benchmark(ReadMessage|Seal|Encrypt|Prefix|TextWriter|Message|Send|Outlet|CacheHit|Decide|Relay|Spill|Put)$"
	cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", which, "-benchtime", benchTime, "-benchmem",
		"./smime/...", "./relay/...", "./lookup/...")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go test -bench: %w\n%s%s", err, out, stderr.String())
	}
	return parseBench(string(out)), nil
}

// parseBench reads the output of `go test -bench`.
func parseBench(out string) []microbenchmark {
	var all []microbenchmark
	room := ""
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		switch {
		case len(f) == 2 && f[0] == "pkg:":
			room = strings.TrimPrefix(f[1], "sealpost/")
		case len(f) >= 4 && strings.HasPrefix(f[0], "Benchmark"):
			b := microbenchmark{room: room, name: benchName(f[0]), values: map[string]float64{}}
			for i := 2; i+1 < len(f); i += 2 {
				if v, err := strconv.ParseFloat(f[i], 64); err == nil {
					b.values[f[i+1]] = v
				}
			}
			all = append(all, b)
		}
	}
	return all
}

// benchName takes off "Benchmark" in front and the number of processors behind.
func benchName(s string) string {
	s = strings.TrimPrefix(s, "Benchmark")
	if i := strings.LastIndexByte(s, '-'); i > 0 {
		if _, err := strconv.Atoi(s[i+1:]); err == nil {
			s = s[:i]
		}
	}
	return s
}
