package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// ticksPerSecond is what /proc counts processor time in: USER_HZ, which Linux
// never changed.
const ticksPerSecond = 100

// A processTree is a server and everything it has started.
type processTree struct{ root int }

// stat is one line of /proc/PID/stat.
type stat struct {
	pid, parent int
	cpu         time.Duration // its own, and that of children that have ended
}

// processes reads the tree; what ended in between is left out.
func (t processTree) processes() []stat {
	files, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is well-formed
	all := map[int]stat{}
	for _, f := range files {
		if s, err := readStat(f); err == nil {
			all[s.pid] = s
		}
	}
	var tree []stat
	for _, s := range all {
		for up := s.pid; up != 0; up = all[up].parent {
			if up == t.root {
				tree = append(tree, s)
				break
			}
		}
	}
	return tree
}

// readStat follows proc_pid_stat(5). The name in parentheses may hold anything.
func readStat(file string) (stat, error) {
	line, err := os.ReadFile(file)
	if err != nil {
		return stat{}, err
	}
	end := bytes.LastIndexByte(line, ')')
	if end < 0 {
		return stat{}, fmt.Errorf("%s: no name", file)
	}
	f := strings.Fields(string(line[end+1:]))
	if len(f) < 15 {
		return stat{}, fmt.Errorf("%s: %d fields", file, len(f))
	}
	var s stat
	if s.pid, err = strconv.Atoi(filepath.Base(filepath.Dir(file))); err != nil {
		return stat{}, err
	}
	if s.parent, err = strconv.Atoi(f[1]); err != nil {
		return stat{}, err
	}
	for _, field := range f[11:15] { // utime, stime, cutime, cstime
		ticks, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return stat{}, err
		}
		s.cpu += time.Duration(ticks) * time.Second / ticksPerSecond
	}
	return s, nil
}

// cpu is the processor time of the tree so far. Children count once they have
// ended, so it is exact when the tree is at rest.
func (t processTree) cpu() time.Duration {
	var sum time.Duration
	for _, s := range t.processes() {
		sum += s.cpu
	}
	return sum
}

// pss is the memory of the tree in KiB, with shared pages shared out.
func (t processTree) pss() int64 {
	var sum int64
	for _, s := range t.processes() {
		sum += procField(fmt.Sprintf("/proc/%d/smaps_rollup", s.pid), "Pss:")
	}
	return sum
}

// peakPSS samples pss until ctx ends.
func (t processTree) peakPSS(ctx context.Context, every time.Duration) (peak int64) {
	for {
		peak = max(peak, t.pss())
		select {
		case <-ctx.Done():
			return max(peak, t.pss())
		case <-time.After(every):
		}
	}
}

// peakRSS is the largest resident size of the root process in KiB, since its
// start or the last forgetPeak.
func (t processTree) peakRSS() int64 {
	return procField(fmt.Sprintf("/proc/%d/status", t.root), "VmHWM:")
}

// rss is the resident size of the root process in KiB.
func (t processTree) rss() int64 {
	return procField(fmt.Sprintf("/proc/%d/status", t.root), "VmRSS:")
}

// procField reads "Name:  123 kB"; 0 where there is none.
func procField(file, name string) int64 {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) >= 2 && f[0] == name {
			n, _ := strconv.ParseInt(f[1], 10, 64)
			return n
		}
	}
	return 0
}

// hostCPU is the time that all processors together were busy.
func hostCPU() time.Duration {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	first, _, _ := strings.Cut(string(text), "\n")
	var busy time.Duration
	for i, field := range strings.Fields(first)[1:] {
		if i == 3 || i == 4 || i > 6 { // idle, iowait; steal and what guests use
			continue
		}
		ticks, _ := strconv.ParseInt(field, 10, 64)
		busy += time.Duration(ticks) * time.Second / ticksPerSecond
	}
	return busy
}

// ownCPU is the processor time of this program: source and sink.
func ownCPU() time.Duration {
	var ru syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &ru); err != nil {
		return 0
	}
	return time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
}
