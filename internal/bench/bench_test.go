package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func TestSpread(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   spread
	}{
		{nil, spread{}},
		{[]float64{3}, spread{3, 3, 3}},
		{[]float64{5, 1, 3}, spread{3, 1, 5}},
		{[]float64{4, 1, 2, 9}, spread{3, 1, 9}},
	} {
		if got := spreadOf(c.values); got != c.want {
			t.Errorf("%v: %v", c.values, got)
		}
	}
}

// The tree counts a child that has ended, as openssl has by the time when its
// message arrives.
func TestProcessTreeCountsEndedChildren(t *testing.T) {
	cmd := exec.Command("sh", "-c", `i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done & wait; echo done; read line`)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	tree := processTree{cmd.Process.Pid}
	if tree.cpu() < 20*time.Millisecond {
		t.Errorf("%v for a loop of 200000 rounds", tree.cpu())
	}
	if tree.rss() == 0 || tree.peakRSS() < tree.rss() || tree.pss() == 0 {
		t.Errorf("resident %d, peak %d, shared out %d", tree.rss(), tree.peakRSS(), tree.pss())
	}
	in.Close()
	if err := cmd.Wait(); err == nil {
		t.Error("read saw no end")
	}
	if own := (processTree{os.Getpid()}).cpu(); own == 0 {
		t.Error("no processor time of our own")
	}
}

func TestParseBench(t *testing.T) {
	got := parseBench("goos: linux\npkg: sealpost/smime\nBenchmarkSeal/5KB-2   \t 100\t 38211 ns/op\t 134.0 MB/s\t 512 B/op\t 7 allocs/op\n" +
		"PASS\npkg: sealpost/lookup\nBenchmarkCacheHit-2 \t 1000\t 82.5 ns/op\nok \tsealpost/lookup\t1s\n")
	if len(got) != 2 || got[0].room != "smime" || got[0].name != "Seal/5KB" || got[0].values["MB/s"] != 134 ||
		got[0].values["allocs/op"] != 7 || got[1].name != "CacheHit" || got[1].values["ns/op"] != 82.5 {
		t.Errorf("%+v", got)
	}
}

// The page holds every table, and says what was missed.
func TestPage(t *testing.T) {
	sh := shape{5000, 1, 10}
	rounds := func(rates ...float64) (all []sample) {
		for _, r := range rates {
			all = append(all, sample{rate: r, cpu: 0.1, p50: time.Millisecond})
		}
		return all
	}
	r := report{
		Machine: []fact{{"kernel", "Linux"}},
		Rows: []row{
			{sh, nothing, rounds(9000, 9000, 9000)}, {sh, plain, rounds(100, 200, 100)},
			{sh, filter, rounds(10, 10, 10)}, {sh, cbc, rounds(900, 1900, 1000)},
		},
		Memory: []memoryResult{{memoryChecks()[0], 20 << 10}},
		Micro:  []microbenchmark{{"smime", "Seal", map[string]float64{"ns/op": 1500}}},
	}
	var page strings.Builder
	if err := r.write(&page); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| 5 KB, 10 sessions: AES-256-CBC | 9.50 (9.00..10.0) | 10.0 | 100 (90.0..190) | 100 | 0.100 | 0.120 | no |",
		"| one message of 100 MB | 20.0 | 64 |", "| kernel | Linux |", "| Seal | 1.50 |", "median of 3 rounds",
	} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("no %q in\n%s", want, page.String())
		}
	}
}
