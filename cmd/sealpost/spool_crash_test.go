package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/smtp"
	"net/textproto"
	"strings"
	"sync"
	"testing"
	"time"

	"sealpost/internal/testkit"
	"sealpost/relay/queue"
)

const (
	crashMessages = 2400
	crashClients  = 8
	crashWorkers  = 20 // spool.deliveries
)

// A crash is one run of the crash test: numbered messages from several
// clients, an upstream whose weather changes, and a process that is killed.
type crash struct {
	in     *installation
	up     *rogue
	canary testkit.Canary

	mu      sync.Mutex // taken with the rogue's held
	rng     *rand.Rand
	weather weather

	ends    []time.Time // of the lives that ended, in order
	answers []int       // by number; 0: none was heard
	heard   chan int
}

// A weather says how likely which mood is, in the order of their list.
type weather map[string]int // in a thousand, at each stage

var weathers = []weather{
	{}, // fair
	{"450 4.2.0 not now": 20, "421 4.3.2 going down": 10, "cut": 10, "half": 2, "garbage": 5, "silence": 2, "take, cut": 80, "take, silence": 2},
	{"421 4.3.2 going down": 600}, // it takes hardly anything
	nil,                           // not there at all
}

func (w weather) mood(rng *rand.Rand, stage string) string {
	n := rng.IntN(1000)
	for _, mood := range []string{"450 4.2.0 not now", "421 4.3.2 going down", "cut", "half", "garbage", "silence", "take, cut", "take, silence"} {
		if strings.HasPrefix(mood, "take") && stage != "end" {
			break
		}
		if n -= w[mood]; n < 0 {
			return mood
		}
	}
	return ""
}

// number is that of a message's sender.
func number(sender string) int {
	var n int
	if _, err := fmt.Sscanf(sender, "n%05d@bank.example", &n); err != nil {
		return -1
	}
	return n
}

func sender(n int) string { return fmt.Sprintf("n%05d@bank.example", n) }

// refused reports a message that upstream never takes.
func refused(n int) bool { return n%23 == 0 }

// recipients of a message: some have one copy and some two, some copies wait
// for a certificate, and some leave in the clear because a rule says so.
func recipients(n int) []string {
	switch {
	case n%13 == 0:
		return []string{"teller@open.example"}
	case n%11 == 0:
		return []string{"late@example.org"}
	case n%7 == 0:
		return []string{"anna@example.org", "bert@example.org"}
	case n%17 == 0:
		return []string{"anna@example.org", "teller@open.example", "late@example.org"}
	case n%2 == 0:
		return []string{"anna@example.org"}
	}
	return []string{"bert@example.org"}
}

// message is the message of that number, the same each time.
func (c *crash) message(n int) string {
	size := n % 3000
	switch {
	case n%600 == 1:
		size = 3 << 20 // more than the spool keeps in a segment
	case n%40 == 1:
		size = 200 << 10
	}
	line := fmt.Sprintf("%s %05d\r\n.%s\r\n", c.canary, n, strings.Repeat("x", 40+n%800))
	return strings.ReplaceAll(fmt.Sprintf(`From: %s
Subject: statement %d
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8

`, sender(n), n), "\n", "\r\n") + strings.Repeat(line, 1+size/len(line))
}

// TestKilled sends thousands of messages while the server is killed again and
// again, and then looks at what became of each.
func TestKilled(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	c := &crash{
		in: newInstallation(t), up: startRogue(t), canary: testkit.NewCanary(t), rng: rand.New(rand.NewPCG(seed, 0)),
		answers: make([]int, crashMessages), heard: make(chan int, crashMessages),
	}
	for _, who := range []string{"anna@example.org", "bert@example.org"} {
		c.in.personWith(t, who, testkit.Leaf{Key: "p256"}) // opened by the thousand
	}
	c.in.spooled(t, c.up.addr, fmt.Sprintf(spoolSection(", deliveries: %d")+`policy:
  - {name: open, recipient: "*@open.example", encrypt: never}
  - {name: default, no_key: hold}
`, crashWorkers))
	c.up.feel(c.mood)
	c.in.start(t)
	c.submitAll(t)
	t.Logf("all submitted, %d kills, %d copies arrived, %d messages wait", len(c.ends), len(c.up.arrivals()), c.in.queued(t))
	c.drain(t)
	c.reckon(t)
}

// mood is the rogue's: refusals that stand for ever, and the weather.
func (c *crash) mood(s scene) string {
	if s.stage == "RCPT" && refused(number(s.from)) {
		return "550 5.1.1 no such mailbox"
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.weather.mood(c.rng, s.stage)
}

func (c *crash) random(n int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rng.IntN(n)
}

// change lets another weather begin.
func (c *crash) change(t testing.TB, to int) {
	t.Helper()
	c.mu.Lock()
	c.weather = weathers[to]
	c.mu.Unlock()
	c.up.shut()
	if weathers[to] != nil {
		c.up.open(t)
	}
}

// die kills the process and starts it again; sometimes it is killed a second
// time before it is up.
func (c *crash) die(t testing.TB) {
	t.Helper()
	c.in.kill(t)
	c.died()
	if len(c.ends) == 6 {
		c.canary.AbsentInTree(t, c.in.dir) // nobody writes now
	}
	if c.random(3) == 0 {
		again := command(t, "serve", "--config", c.in.config)
		if err := again.Start(); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Duration(c.random(400)) * time.Millisecond) // any moment of its start will do
		if err := again.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = again.Wait() // killed, which Wait calls an error
		c.died()
	}
	c.in.launch(t)
}

// died notes that a process is dead.
func (c *crash) died() {
	c.ends = append(c.ends, time.Now())
	c.up.nextLife()
}

// submitAll has clients send everything, and does harm after a number of
// answers that nobody knows beforehand.
func (c *crash) submitAll(t *testing.T) {
	t.Helper()
	var clients sync.WaitGroup
	defer clients.Wait()
	numbers := make(chan int, crashMessages)
	for n := range crashMessages {
		numbers <- n
	}
	close(numbers)
	for range crashClients {
		clients.Go(func() { c.client(numbers) })
	}
	death, storm, storms := 50+c.random(200), 0, c.random(len(weathers))
	for answered := range crashMessages {
		if answered == storm {
			c.change(t, storms%len(weathers))
			storms++
			storm += 20 + c.random(150)
		}
		if answered == death {
			c.die(t)
			death += 60 + c.random(250)
		}
		select {
		case <-c.heard:
		case <-time.After(testkit.Patience):
			t.Fatalf("no answer after %d of %d", answered, crashMessages)
		}
	}
}

// client submits numbers until there are no more.
func (c *crash) client(numbers <-chan int) {
	var conn *smtp.Client
	for n := range numbers {
		for conn == nil {
			conn = c.connect()
		}
		err := submitMail(conn, sender(n), c.message(n), recipients(n)...)
		var said *textproto.Error
		switch {
		case err == nil:
			c.answers[n] = 250
		case errors.As(err, &said):
			c.answers[n] = said.Code
		}
		if c.answers[n]/100 != 2 {
			conn.Close()
			conn = nil
		}
		c.heard <- n
	}
	if conn != nil {
		conn.Close()
	}
}

// connect is nil while nobody is there.
func (c *crash) connect() *smtp.Client {
	raw, err := net.DialTimeout("tcp", c.in.addr, time.Second)
	if err != nil {
		<-time.After(20 * time.Millisecond)
		return nil
	}
	conn, err := smtp.NewClient(raw, "mailer.bank.example")
	if err == nil {
		err = raw.SetDeadline(time.Now().Add(2 * time.Minute))
	}
	if err != nil {
		raw.Close()
		return nil
	}
	return conn
}

func submitMail(c *smtp.Client, from, message string, to ...string) error {
	if err := c.Mail(from); err != nil {
		return err
	}
	for _, r := range to {
		if err := c.Rcpt(r); err != nil {
			return err
		}
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write([]byte(message)); err != nil {
		return err
	}
	return w.Close()
}

// drain lets everything out, with three more kills on the way.
func (c *crash) drain(t *testing.T) {
	t.Helper()
	c.change(t, 0)
	for range 3 {
		had := len(c.up.arrivals())
		more := 1 + c.random(40)
		testkit.Poll(t, "more to arrive", func() bool {
			return len(c.up.arrivals()) >= had+more || c.in.queued(t, queue.Active, queue.Deferred) == 0
		})
		c.die(t)
	}
	c.in.personWith(t, "late@example.org", testkit.Leaf{Key: "p256"})
	deadline := time.Now().Add(2 * testkit.Patience)
	for c.in.queued(t) > 0 {
		if time.Now().After(deadline) {
			t.Fatalf("%d messages still wait", c.in.queued(t))
		}
		<-time.After(20 * time.Millisecond)
	}
	c.canary.Absent(t, "the metrics", []byte(c.in.get(t, "/metrics")))
	c.in.stop(t)
	c.in.nowhere(t, c.canary)
}
