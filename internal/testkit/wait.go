package testkit

import (
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Patience is how long the waits of this package last before they fail a
// test. It is long because the machine may be busy; a passing test never
// waits that long.
const Patience = 30 * time.Second

// Poll asks until the answer is yes, and fails the test when that takes longer
// than Patience. what says what was waited for.
func Poll(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(Patience)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("waited %v for %s, in vain", Patience, what)
		}
	}
}

// WaitPort waits until a server accepts connections at addr (host:port).
func WaitPort(t testing.TB, addr string) {
	t.Helper()
	Poll(t, "a server at "+addr, func() bool {
		c, err := net.DialTimeout("tcp", addr, time.Second)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

// WaitFile waits until a file is there and not empty.
func WaitFile(t testing.TB, path string) {
	t.Helper()
	Poll(t, "the file "+path, func() bool {
		info, err := os.Stat(path)
		return err == nil && info.Size() > 0
	})
}

// waitStopped waits until every thread of a process group that was sent SIGSTOP
// stands still: the signal is on its way for a while.
func waitStopped(t testing.TB, group int) {
	t.Helper()
	Poll(t, "the server to stand still", func() bool {
		stats, err := filepath.Glob("/proc/[0-9]*/task/[0-9]*/stat")
		if err != nil {
			t.Fatal(err)
		}
		still := 0
		for _, path := range stats {
			stat, _ := os.ReadFile(path) // it may be gone
			_, rest, _ := strings.Cut(string(stat), ") ")
			fields := strings.Fields(rest) // state, parent, group, …
			if len(fields) < 3 || fields[2] != strconv.Itoa(group) {
				continue
			}
			if fields[0] != "T" {
				return false
			}
			still++
		}
		return still > 0
	})
}

var given struct {
	sync.Mutex
	ports map[int]bool
}

// FreeAddr gives a loopback address (127.0.0.1:PORT) where nothing listens and
// that it has given to nobody else in this process. The port lies below the
// range from which the kernel takes the ports of outgoing connections, so that
// no connection of a neighbour takes it before the test's server does.
func FreeAddr(t testing.TB) string {
	t.Helper()
	given.Lock()
	defer given.Unlock()
	if given.ports == nil {
		given.ports = map[int]bool{}
	}
	for range 1000 {
		port := 12000 + rand.IntN(20000)
		if given.ports[port] {
			continue
		}
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		l, err := net.Listen("tcp", addr)
		if err != nil {
			continue
		}
		l.Close()
		given.ports[port] = true
		return addr
	}
	t.Fatal("no free port on the loopback address")
	return ""
}
