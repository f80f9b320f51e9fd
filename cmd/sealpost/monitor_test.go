package main

import (
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"sealpost/internal/testkit"
)

// get asks the endpoint for monitoring and wants 200.
func (in *installation) get(t testing.TB, path string) string {
	t.Helper()
	resp, err := http.Get("http://" + in.monitor + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s, %v\n%s", path, resp.Status, err, body)
	}
	return string(body)
}

// metric is the value of a series, as in `sealpost_x_total{a="b"}`; -1 when it
// is not there.
func (in *installation) metric(t testing.TB, series string) float64 {
	t.Helper()
	for line := range strings.Lines(in.get(t, "/metrics")) {
		value, ok := strings.CutPrefix(line, series+" ")
		if !ok {
			continue
		}
		n, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	return -1
}

// running reports whether the process was started and has not ended.
func (in *installation) running() bool {
	if in.ended == nil {
		return false
	}
	select {
	case <-in.ended:
		return false
	default:
		return true
	}
}

func (in *installation) signal(t testing.TB, s os.Signal) {
	t.Helper()
	if err := in.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// reload sends SIGHUP and waits until the log says how that went.
func (in *installation) reload(t testing.TB) (ok bool) {
	t.Helper()
	const good, bad = "configuration reloaded", "configuration not reloaded"
	before := in.log(t)
	in.signal(t, syscall.SIGHUP)
	testkit.Poll(t, "the reload", func() bool {
		now := in.log(t)
		ok = strings.Count(now, good) > strings.Count(before, good)
		return ok || strings.Count(now, bad) > strings.Count(before, bad)
	})
	return ok
}
