package main

import (
	"fmt"
	"net"
	"net/smtp"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"sealpost/internal/testkit"
)

// large is a message of about so many bytes.
func large(canary testkit.Canary, size int) string {
	line := strings.Repeat(string(canary)+" ", 2) + "\r\n"
	return "Subject: large\r\nContent-Type: text/plain\r\n\r\n" + strings.Repeat(line, 1+size/len(line))
}

// fillUp sends messages of a megabyte and a half while upstream is away, until
// the answer is 452; it gives how many were taken.
func (in *installation) fillUp(t *testing.T, message string) (taken int) {
	t.Helper()
	for n := range 200 {
		got := in.mail(t, sender(n), message, "anna@example.org")
		if strings.HasPrefix(got, "452 4.3.1 ") && strings.HasSuffix(got, "(resources-low)\r\n") {
			return n
		}
		if !strings.HasPrefix(got, "250 ") {
			t.Fatalf("message %d: %s", n, got)
		}
	}
	t.Fatal("it is never full")
	return 0
}

// afterwards wants what was taken, and nothing else, to arrive once, and the
// room to be there again.
func (in *installation) afterwards(t *testing.T, up *rogue, taken int, message string) {
	t.Helper()
	if got := in.mail(t, sender(taken+1), message, "anna@example.org"); !strings.HasPrefix(got, "452 4.3.1 ") {
		t.Errorf("once it is full: %s", got)
	}
	if n := in.queued(t); n != taken {
		t.Errorf("%d messages wait, %d were taken", n, taken)
	}
	in.kill(t)
	in.launch(t)
	up.open(t)
	in.waitEmpty(t)
	in.eachOnce(t, up, taken, message)
	if n := len(up.arrivals()); n != taken {
		t.Errorf("%d messages arrived, %d were taken", n, taken)
	}
}

// A disk that is full: 452 at the door, what was taken is safe and leaves even
// when not one byte more can be written, and then there is room again.
func TestFullDisk(t *testing.T) {
	testkit.NeedRoot(t)
	t.Parallel()
	in := newInstallation(t, "anna@example.org")
	disk := filepath.Join(in.dir, "disk")
	if err := os.Mkdir(disk, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=140m,mode=0700"); err != nil {
		t.Fatalf("no tmpfs can be mounted: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, 0); err != nil {
			t.Error(err)
		}
	})
	up := startRogue(t)
	in.spooled(t, up.addr, strings.Replace(spoolSection(""), "dir: spool", "dir: disk/spool", 1))
	in.start(t)
	up.shut()
	canary := testkit.NewCanary(t)
	message := large(canary, 3<<19)
	taken := in.fillUp(t, message)
	if taken < 10 {
		t.Errorf("full after %d messages", taken)
	}
	ballast, err := os.Create(filepath.Join(disk, "ballast"))
	if err != nil {
		t.Fatal(err)
	}
	defer ballast.Close()
	for block := make([]byte, 1<<16); err == nil; {
		_, err = ballast.Write(block)
	}
	in.afterwards(t, up, taken, message)
	in.nowhere(t, canary)
	if err := os.Remove(ballast.Name()); err != nil {
		t.Fatal(err)
	}
	ballast.Close()
	up.shut()
	if got := in.mail(t, "again@bank.example", message, "anna@example.org"); !strings.HasPrefix(got, "250 ") {
		t.Errorf("with room again: %s", got)
	}
	t.Logf("%d messages of %d bytes were taken", taken, len(message))
}

// spool.size is a limit like a disk's.
func TestFullSpool(t *testing.T) {
	t.Parallel()
	in := newInstallation(t, "anna@example.org")
	up := startRogue(t)
	in.spooled(t, up.addr, spoolSection(", size: 64MiB"))
	in.start(t)
	up.shut()
	message := large(testkit.NewCanary(t), 3<<19)
	taken := in.fillUp(t, message)
	if taken < 20 || taken > 60 {
		t.Errorf("full after %d messages of %d bytes", taken, len(message))
	}
	in.afterwards(t, up, taken, message)
	if n := in.metric(t, "sealpost_spool_used_bytes"); n != 0 {
		t.Errorf("%v bytes are used when nothing waits", n)
	}
}

// While upstream is slower than what comes in, memory does not grow with what
// waits: neither in the spool, nor in clients that wait for an answer.
func TestUpstreamSlowerThanIntake(t *testing.T) {
	t.Parallel()
	in := newInstallation(t, "anna@example.org")
	up := startRogue(t)
	in.spooled(t, up.addr, strings.Replace(spoolSection(""), "patience: 2s", "patience: 1s", 1)+"limits: {temp_dir: tmp, upstream: {connections: 2}}\n")
	in.start(t)
	message := large(testkit.NewCanary(t), 200<<10)
	if got := in.mail(t, "first@bank.example", message, "anna@example.org"); !strings.HasPrefix(got, "250 ") {
		t.Fatal(got)
	}
	before := in.rss(t)
	const n, clients = 500, 24
	drops := make(chan bool, n) // each lets one message through
	up.feel(func(s scene) string {
		if s.stage == "end" { // called with the lock held: one at a time
			<-drops
		}
		return ""
	})
	// Upstream keeps pace with a quarter of what comes, however fast that is.
	var taken atomic.Int64
	failed := in.flood(n, clients, message, func() {
		if taken.Add(1)%4 == 0 {
			drops <- true
		}
	})
	after := in.rss(t)
	waits := in.queued(t)
	close(drops)
	for _, err := range failed {
		t.Errorf("not taken: %v", err)
	}
	in.waitEmpty(t)
	t.Logf("resident: %d MiB before, %d MiB when %d messages of %d bytes had come and %d waited", before>>20, after>>20, n, len(message), waits)
	if after > 256<<20 {
		t.Errorf("%d MiB are held, and %d messages have %d", after>>20, n, n*len(message)>>20)
	}
	if waits < n/4 {
		t.Errorf("only %d messages waited: upstream was not slow", waits)
	}
}

// flood submits n messages from several clients and gives what failed; each that
// was taken is told of.
func (in *installation) flood(n, clients int, message string, taken func()) (failed []error) {
	numbers := make(chan int, n)
	for i := range n {
		numbers <- i
	}
	close(numbers)
	var mu sync.Mutex
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			err := in.floodFrom(numbers, message, taken)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed = append(failed, err)
			}
		})
	}
	all.Wait()
	return failed
}

func (in *installation) floodFrom(numbers <-chan int, message string, taken func()) error {
	raw, err := net.Dial("tcp", in.addr)
	if err != nil {
		return err
	}
	c, err := smtp.NewClient(raw, "mailer.bank.example")
	if err != nil {
		return err
	}
	defer c.Close()
	for i := range numbers {
		if err := submitMail(c, sender(i), message, "anna@example.org"); err != nil {
			return fmt.Errorf("message %d: %w", i, err)
		}
		taken()
	}
	return c.Quit()
}

// rss is the process's resident memory in bytes.
func (in *installation) rss(t testing.TB) int64 {
	t.Helper()
	return int64(in.metric(t, "process_resident_memory_bytes"))
}
