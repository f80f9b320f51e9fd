package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A fact is one line about where the figures come from.
type fact struct{ name, value string }

// machine says what the figures depend on, and nothing else about the place.
func machine(sealpostBinary, dir string) []fact {
	var u unix.Utsname
	kernel := "unknown"
	if unix.Uname(&u) == nil {
		kernel = unix.ByteSliceToString(u.Sysname[:]) + " " + unix.ByteSliceToString(u.Release[:])
	}
	return []fact{
		{"date", time.Now().UTC().Format(time.DateOnly)},
		{"processor", fmt.Sprintf("%s, %d cores for all", procName("/proc/cpuinfo", "model name"), runtime.NumCPU())},
		{"memory", fmt.Sprintf("%.0f GiB", float64(procField("/proc/meminfo", "MemTotal:"))/(1<<20))},
		{"kernel", kernel},
		{"file system", fileSystem(dir)},
		{"Go", runtime.Version()},
		{"Sealpost", commit(sealpostBinary)},
		{"Postfix", version("postconf", "-h", "mail_version")},
		{"OpenSSL", version("openssl", "version")},
	}
}

// version is the first line that a program prints.
func version(program string, args ...string) string {
	out, err := exec.Command(program, args...).Output()
	if err != nil {
		return "unknown"
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return strings.TrimSpace(line)
}

// commit is the version of the binary, without what it was built with.
func commit(binary string) string {
	v, _, _ := strings.Cut(strings.TrimPrefix(version(binary, "version"), "sealpost "), " (")
	return v
}

func procName(file, name string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(text)) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == name {
			return strings.TrimSpace(v)
		}
	}
	return "unknown"
}

// fileSystem is the type of the file system that queues and spools are on.
func fileSystem(dir string) string {
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return "unknown"
	}
	best, kind := "", "unknown"
	for line := range strings.Lines(string(mounts)) {
		f := strings.Fields(line)
		if len(f) < 3 || len(f[1]) < len(best) {
			continue
		}
		if dir == f[1] || strings.HasPrefix(dir, strings.TrimSuffix(f[1], "/")+"/") {
			best, kind = f[1], f[2]
		}
	}
	return kind
}
