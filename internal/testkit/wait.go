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

	"golang.org/x/sys/unix"
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

// given are the ports that FreeAddr has not given away yet, and the locks on
// the blocks that they are from.
var given struct {
	sync.Mutex
	ports []int
	locks []*os.File
}

// The ports lie below the range from which the kernel takes those of outgoing
// connections, so that no connection of a neighbour takes one before the test's
// server does. A process locks a block of them, so that no other test does.
const (
	firstPort  = 12000
	blockPorts = 200
	portBlocks = 100
)

// FreeAddr gives a loopback address (127.0.0.1:PORT) where nothing listens and
// that was given to nobody else, also not by another process that runs tests.
func FreeAddr(t testing.TB) string {
	t.Helper()
	given.Lock()
	defer given.Unlock()
	for {
		if len(given.ports) == 0 {
			takeBlock(t)
		}
		port := given.ports[0]
		given.ports = given.ports[1:]
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		if l, err := net.Listen("tcp", addr); err == nil {
			l.Close()
			return addr
		}
	}
}

// takeBlock locks a block for as long as the process runs.
func takeBlock(t testing.TB) {
	t.Helper()
	dir := filepath.Join(os.TempDir(), "sealpost-test-ports")
	if err := os.MkdirAll(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	for _, block := range rand.Perm(portBlocks) {
		f, err := os.OpenFile(filepath.Join(dir, strconv.Itoa(block)), os.O_CREATE|os.O_RDWR, 0o666)
		if err != nil {
			continue // another user's
		}
		if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
			f.Close()
			continue
		}
		given.locks = append(given.locks, f)
		for _, i := range rand.Perm(blockPorts) {
			given.ports = append(given.ports, firstPort+block*blockPorts+i)
		}
		return
	}
	t.Fatal("every port for tests is taken: are tests of a former run still there?")
}
