package intake

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"sealpost/internal/reason"
)

// start brings a dialog to its data.
func (c *caller) start() {
	c.t.Helper()
	c.hello("EHLO")
	c.send("MAIL FROM:<anna@example.org>\r\nRCPT TO:<bert@example.org>\r\nDATA\r\n")
	c.expect("250 2.1.0 OK", "250 2.1.5 OK", strings.TrimSpace(go354))
}

func TestTooManyConnections(t *testing.T) {
	h := open(t, func(o *Options) { o.Limits.Connections, o.Limits.PerClient = 3, 2 })
	one, two := h.call(t), h.call(t)
	c := h.dial(t)
	c.expect("421 4.7.0 Too many connections from your address (too-many-connections)")
	c.closed()
	one.say("QUIT", "221 2.0.0 Bye")
	one.closed()
	two.say("NOOP", "250 2.0.0 OK")
	for h.open() > 1 {
		runtime.Gosched()
	}
	h.call(t)
	held := newConn(h.Server, &script{})
	if e := h.add(held); e != nil {
		t.Fatal(e)
	}
	h.dial(t).expect("421 4.7.0 Too many connections (too-many-connections)")
	h.remove(held)
}

func (h *house) open() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.conns)
}

func TestEarlyTalker(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s, _ := newTestServer(t, nil)
	h := &house{Server: s, box: &postbox{}, addr: l.Addr().String(), served: make(chan error, 1)}
	c := h.dial(t)
	c.send("EHLO client.example\r\n") // before anybody accepts
	go func() { h.served <- s.Serve(l) }()
	defer h.shut(t)
	c.expect("554 5.5.0 Client spoke before the greeting (protocol-error)")
	c.closed()
}

func TestGreetingDelay(t *testing.T) {
	h := open(t, func(o *Options) { o.Timeouts.Greeting = patience })
	c := h.dial(t)
	c.send("EHLO client.example\r\n")
	c.expect("554 5.5.0 Client spoke before the greeting (protocol-error)")
	c.closed()
	h = open(t, func(o *Options) { o.Timeouts.Greeting = time.Millisecond })
	h.call(t)
}

func TestIdleTimeout(t *testing.T) {
	h := open(t, func(o *Options) { o.Timeouts.Command = 20 * time.Millisecond })
	c := h.call(t)
	c.send("NOO") // half a command does not count
	c.expect("421 4.4.2 Timeout, closing (client-timeout)")
	c.closed()
}

// A body that stalls ends the connection: what comes later would be the rest
// of the message, and must never run as commands.
func TestStalledBody(t *testing.T) {
	for _, first := range []string{"", "half a line", "a line\r\n", "x\r\n.", "x\r\n.\r"} {
		h := open(t, func(o *Options) { o.Timeouts.Window = 10 * time.Millisecond })
		c := h.call(t)
		c.start()
		c.send(first)
		c.expect("421 4.4.2 Data comes too slowly, closing (client-timeout)")
		c.closed()
		if len(h.box.taken()) > 0 {
			t.Errorf("%q was taken for a message", first)
		}
	}
}

// Stalled clients by the hundred are all told and all gone.
func TestStalledClients(t *testing.T) {
	h := open(t, func(o *Options) { o.Timeouts.Window = 50 * time.Millisecond; o.Limits.MinRate = 1 << 20 })
	var group sync.WaitGroup
	for range 200 {
		group.Go(func() {
			nc, err := net.Dial("tcp", h.addr)
			if err != nil {
				t.Error(err)
				return
			}
			defer nc.Close()
			c := newCaller(t, nc)
			_, _ = c.r.ReadString('\n')
			_, _ = io.WriteString(c, envelope+"DATA\r\nFrom: a@b\r\n")
			if said, err := io.ReadAll(c.r); err != nil || !strings.Contains(string(said), "\r\n421 4.4.2 ") {
				t.Errorf("%v: %s", err, said)
			}
		})
	}
	group.Wait()
}

func TestStalledChunk(t *testing.T) {
	h := open(t, func(o *Options) { o.Timeouts.Window = 10 * time.Millisecond })
	for _, chunk := range []string{"BDAT 1000 LAST\r\nfourteen bytes", "BDAT 2\r\nab"} {
		c := h.call(t)
		c.hello("EHLO")
		c.say("MAIL FROM:<anna@example.org>", "250 2.1.0 OK")
		c.say("RCPT TO:<bert@example.org>", "250 2.1.5 OK")
		c.send(chunk)
		for line := ""; !strings.HasPrefix(line, "421 4.4.2 "); {
			line = c.line()
		}
		c.closed()
	}
}

// The floor is a rate, not a deadline for the message: many windows pass while
// a slow but steady sender is at it.
func TestMeter(t *testing.T) {
	m := newMeter(&Options{Limits: Limits{MinRate: 100}, Timeouts: Timeouts{Window: time.Minute}})
	for range 100 {
		for range 60 {
			if !m.tick(time.Second, 100) {
				t.Fatal("a sender at the minimum rate was cut off")
			}
		}
	}
	m.tick(time.Second, 5000)
	if m.tick(59*time.Second, 999) {
		t.Error("a sender below the minimum rate was not cut off")
	}
	m = newMeter(&Options{Limits: Limits{MinRate: -1}, Timeouts: Timeouts{Window: time.Minute}})
	if !m.tick(time.Minute, 1) || m.tick(time.Minute, 0) {
		t.Error("without a floor only silence ends a message")
	}
}

// A truncated chunk is never a message, however the connection ends.
func TestVanishedClients(t *testing.T) {
	h := open(t, nil)
	var group sync.WaitGroup
	for i := range 300 {
		group.Go(func() {
			nc, err := net.Dial("tcp", h.addr)
			if err != nil {
				t.Error(err)
				return
			}
			c := newCaller(t, nc)
			_, _ = io.WriteString(c, vanishing[i%len(vanishing)])
			if i%2 == 0 {
				_ = nc.(*net.TCPConn).CloseWrite()
				_, _ = io.Copy(io.Discard, nc)
			}
			_ = nc.(*net.TCPConn).SetLinger(0)
			nc.Close()
		})
	}
	group.Wait()
	for h.open() > 0 {
		runtime.Gosched()
	}
	if n := len(h.box.taken()); n != 0 {
		t.Errorf("%d messages of clients that were gone", n)
	}
}

const envelope = "EHLO c\r\nMAIL FROM:<anna@example.org>\r\nRCPT TO:<bert@example.org>\r\n"

var vanishing = []string{
	"", "EHL", "EHLO c\r\n", envelope, envelope + "DATA\r\n", envelope + "DATA\r\nx\r\n.", envelope + "DATA\r\n" + long1MB,
	envelope + "BDAT 1000 LAST\r\nfourteen bytes", envelope + "BDAT 2\r\nab", envelope + "BDAT 2\r\nabBDAT 1 LAST\r\n",
	"AUTH LOGIN\r\n", "\x16\x03\x01", strings.Repeat("x", 5000),
}

var long1MB = strings.Repeat(strings.Repeat("x", 70)+"\r\n", 1<<20/72)

func TestShutdown(t *testing.T) {
	box := &postbox{sync: make(chan struct{}), started: make(chan struct{}, 1)}
	h := open(t, func(o *Options) { o.Handler = box })
	idle, busy, begun := h.call(t), h.call(t), h.call(t)
	idle.hello("EHLO")
	idle.send("NOO") // half a command is no reason to wait
	begun.hello("EHLO")
	begun.say("MAIL FROM:<anna@example.org>", "250 2.1.0 OK")
	busy.start()
	busy.send("x\r\n.\r\nNOOP\r\n")
	<-box.started
	down := make(chan error, 1)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	go func() { down <- h.Shutdown(ctx) }()
	idle.expect("421 4.3.2 Service closing transmission channel (shutting-down)")
	idle.closed()
	begun.say("RCPT TO:<bert@example.org>", "250 2.1.5 OK")
	begun.say("RSET", "250 2.0.0 OK", "421 4.3.2 Service closing transmission channel (shutting-down)")
	begun.closed()
	close(box.sync)
	busy.expect("250 2.0.0 Queued", "421 4.3.2 Service closing transmission channel (shutting-down)")
	busy.closed()
	if err := <-down; err != nil {
		t.Error(err)
	}
	if err := <-h.served; !errors.Is(err, ErrServerClosed) {
		t.Errorf("Serve: %v", err)
	}
	h.served = nil
	if len(box.taken()) != 1 {
		t.Error("the running transaction did not finish")
	}
	if l, err := net.Listen("tcp", "127.0.0.1:0"); err != nil || !errors.Is(h.Serve(l), ErrServerClosed) {
		t.Error("a closed server serves")
	}
}

// Closing a socket with input that nobody has read resets it, and a reset may
// overtake the last reply.
func TestLastReplyIsHeard(t *testing.T) {
	h := open(t, nil)
	for range 20 {
		c := h.call(t)
		c.send("QUIT\r\n" + strings.Repeat("x", 20000))
		c.expect("221 2.0.0 Bye")
		c.closed()
	}
}

func TestShutdownByForce(t *testing.T) {
	box := &postbox{sync: make(chan struct{}), started: make(chan struct{}, 1)}
	h := open(t, func(o *Options) { o.Handler = box })
	c := h.call(t)
	c.start()
	c.send("x\r\n.\r\n")
	<-box.started
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := h.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("shutdown: %v", err)
	}
	if line, err := c.r.ReadString('\n'); err == nil && !strings.HasPrefix(line, "421 ") {
		t.Errorf("got %s", line)
	}
	if len(box.taken()) > 0 {
		t.Error("the message was taken")
	}
}

// An idle connection costs a goroutine and a small buffer, not a large one.
func TestIdleConnectionsAreCheap(t *testing.T) {
	const n = 500
	h := open(t, func(o *Options) { o.Limits.Connections, o.Limits.PerClient = n, n })
	before := inUse()
	callers := make([]*caller, n)
	for i := range callers {
		callers[i] = h.call(t)
		callers[i].start()
		callers[i].say("x\r\n.", "250 2.0.0 Queued")
		callers[i].r = nil
	}
	if each := (inUse() - before) / n; each > 12<<10 {
		t.Errorf("an idle connection, with its client, takes %d octets", each)
	}
	for _, c := range callers {
		c.Close()
	}
}

func inUse() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse + m.StackInuse)
}

func TestHooks(t *testing.T) {
	var mu sync.Mutex
	count := map[string]int64{}
	add := func(what string, n int64) {
		mu.Lock()
		defer mu.Unlock()
		count[what] += n
	}
	s, _ := newTestServer(t, func(o *Options) {
		o.Hooks = Hooks{
			Opened: func() { add("opened", 1) }, Closed: func() { add("closed", 1) },
			Refused: func(r reason.Token) { add(string(r), 1) }, Received: func(n int64) { add("octets", n) },
		}
	})
	run(t, s, message("anna@example.org", "four\r\n.\r\nFOO\r\n"), 0)
	if count["closed"] != 1 || count["octets"] != 6 || count["protocol-error"] != 1 {
		t.Errorf("counted %v", count)
	}
}

// The log tells of trouble, and never what a message says; not even when the
// handler panics with a piece of it.
func TestLogHasNoContent(t *testing.T) {
	var log bytes.Buffer
	s, _ := newTestServer(t, func(o *Options) {
		o.Log = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	for _, from := range []string{"anna", "panics", "panics-at-mail", "early-no", "broken"} {
		run(t, s, message(from+"@example.org", "Subject: canary\r\n\r\ncanary\n\r\n.\r\nFOO canary\r\nAUTH PLAIN canary\r\n"), 0)
	}
	for _, reason := range []string{"bare-newline", "protocol-error", "internal-error", "client-gone"} {
		if !strings.Contains(log.String(), `"reason":"`+reason+`"`) {
			t.Errorf("the log does not have %s", reason)
		}
	}
	if strings.Contains(log.String(), "canary") {
		t.Errorf("content in the log:\n%s", &log)
	}
}
