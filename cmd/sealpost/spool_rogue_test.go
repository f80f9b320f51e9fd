package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"sealpost/internal/testkit"
)

// A rogue is an upstream at its worst: at every stage of the dialog it does
// what its mood says instead of answering properly. It comes, goes, and keeps
// what it took. The moods:
//
//	""            the proper answer
//	"450 text"    this reply; behind 421 it closes the connection
//	"cut"         the connection is closed
//	"half"        only its own direction is closed; it goes on reading
//	"garbage"     bytes that are no reply
//	"silence"     nothing, until the client gives up
//	"take, cut"   at the end of the data: it is kept, and the connection closed
//	"take, silence"
type rogue struct {
	addr string

	mu       sync.Mutex
	listener net.Listener
	conns    map[net.Conn]bool
	mood     func(scene) string
	life     int // of its client: how often that was killed
	taken    []*arrival
	running  sync.WaitGroup
}

// A scene is a stage of the dialog and what was said so far.
type scene struct{ stage, from, to string }

// The stages.
var stages = []string{"greeting", "EHLO", "MAIL", "RCPT", "DATA", "end"}

// An arrival is a message that a rogue has kept.
type arrival struct {
	from, to string
	raw      []byte
	life     int
	at       time.Time
	heard    bool // the client spoke on after our 250, so it knows
	cut      bool // it cannot know: there was no answer
}

// startRogue starts one that is well-behaved until told otherwise.
func startRogue(t testing.TB) *rogue {
	t.Helper()
	r := &rogue{addr: testkit.FreeAddr(t), conns: map[net.Conn]bool{}, mood: func(scene) string { return "" }}
	r.open(t)
	t.Cleanup(func() {
		r.shut()
		r.running.Wait()
	})
	return r
}

func (r *rogue) open(t testing.TB) {
	t.Helper()
	l, err := net.Listen("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.listener = l
	r.running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return // shut
			}
			r.mu.Lock()
			r.conns[c] = true
			d := &rogueDialog{rogue: r, conn: c.(*net.TCPConn), r: bufio.NewReader(c), life: r.life}
			r.mu.Unlock()
			r.running.Go(d.run)
		}
	})
}

// shut closes the port and all connections.
func (r *rogue) shut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.listener != nil {
		_ = r.listener.Close() // it may be closed already
		r.listener = nil
	}
	r.hangUpLocked()
}

// hangUp closes the connections.
func (r *rogue) hangUp() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hangUpLocked()
}

func (r *rogue) hangUpLocked() {
	for c := range r.conns {
		c.Close()
	}
}

// nextLife says that its client was killed, and another one begins.
func (r *rogue) nextLife() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.life++
}

func (r *rogue) feel(mood func(scene) string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mood = mood
}

// once makes the rogue misbehave at one stage, for this sender's message or,
// before MAIL, at large. happened says how often it did.
func (r *rogue) once(stage, from, mood string) (happened func() int) {
	n := 0
	r.feel(func(s scene) string { // called with r.mu held
		if n > 0 || s.stage != stage || (s.from != "" && s.from != from) {
			return ""
		}
		n++
		return mood
	})
	return func() int {
		r.mu.Lock()
		defer r.mu.Unlock()
		return n
	}
}

// arrivals gives what was taken so far.
func (r *rogue) arrivals() []arrival {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]arrival, len(r.taken))
	for i, a := range r.taken {
		all[i] = *a
	}
	return all
}

func (r *rogue) wait(t testing.TB, n int) []arrival {
	t.Helper()
	testkit.Poll(t, fmt.Sprintf("%d messages at upstream", n), func() bool { return len(r.arrivals()) >= n })
	return r.arrivals()
}

// A rogueDialog is one connection to a rogue.
type rogueDialog struct {
	rogue *rogue
	conn  *net.TCPConn
	r     *bufio.Reader
	life  int
	from  string
	to    []string
	open  bool // MAIL was accepted
	last  *arrival
}

func (d *rogueDialog) run() {
	defer func() {
		d.rogue.mu.Lock()
		delete(d.rogue.conns, d.conn)
		d.rogue.mu.Unlock()
		d.conn.Close()
	}()
	// Nobody is waited for longer than any test lasts.
	if d.conn.SetDeadline(time.Now().Add(5*time.Minute)) != nil {
		return
	}
	on := d.answer("greeting", "220 rogue.example ESMTP") >= 0
	for on {
		line, err := d.r.ReadString('\n')
		if err != nil {
			return
		}
		d.noteHeard()
		on = d.command(strings.TrimRight(line, "\r\n"))
	}
}

func (d *rogueDialog) noteHeard() {
	if d.last != nil {
		d.rogue.mu.Lock()
		d.last.heard = true
		d.rogue.mu.Unlock()
		d.last = nil
	}
}

// command obeys one line and reports whether there is to be another.
func (d *rogueDialog) command(line string) bool {
	verb, _, _ := strings.Cut(strings.ToUpper(line), " ")
	switch verb {
	case "EHLO":
		return d.answer("EHLO", "250-rogue.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 DSN") >= 0
	case "MAIL":
		d.from, d.to = bracketed(line), nil
		code := d.answer("MAIL", "250 2.1.0 ok")
		d.open = code == 250
		return code >= 0
	case "RCPT":
		if !d.open {
			return d.write("503 5.5.1 no MAIL")
		}
		d.to = append(d.to, bracketed(line))
		code := d.answer("RCPT", "250 2.1.5 ok")
		if code != 250 {
			d.to = d.to[:len(d.to)-1]
		}
		return code >= 0
	case "DATA":
		if !d.open || len(d.to) == 0 {
			return d.write("503 5.5.1 no RCPT")
		}
		code := d.answer("DATA", "354 go on")
		if code == 354 {
			return d.data()
		}
		return code >= 0
	case "QUIT":
		d.write("221 2.0.0 bye")
		return false
	case "RSET", "NOOP":
		d.open = d.open && verb == "NOOP"
		return d.write("250 2.0.0 ok")
	}
	return d.write("500 5.5.2 what?")
}

// data reads a message to its end and takes it, or not.
func (d *rogueDialog) data() bool {
	var raw strings.Builder
	for {
		line, err := d.r.ReadString('\n')
		if err != nil {
			return false
		}
		if line == ".\r\n" {
			break
		}
		raw.WriteString(strings.TrimPrefix(line, "."))
	}
	d.open = false
	mood := d.feels("end")
	if kept, took := strings.CutPrefix(mood, "take, "); took {
		d.keep(raw.String(), true)
		return d.express(kept, "") >= 0
	}
	if mood == "" {
		d.last = d.keep(raw.String(), false)
	}
	return d.express(mood, "250 2.0.0 Ok: queued as ROGUE1") >= 0
}

func (d *rogueDialog) keep(raw string, cut bool) *arrival {
	a := &arrival{from: d.from, to: strings.Join(d.to, " "), raw: []byte(raw), life: d.life, at: time.Now(), cut: cut}
	d.rogue.mu.Lock()
	defer d.rogue.mu.Unlock()
	d.rogue.taken = append(d.rogue.taken, a)
	return a
}

func (d *rogueDialog) feels(stage string) string {
	d.rogue.mu.Lock()
	defer d.rogue.mu.Unlock()
	s := scene{stage: stage, from: d.from}
	if len(d.to) > 0 {
		s.to = d.to[len(d.to)-1]
	}
	return d.rogue.mood(s)
}

// answer gives the code that was answered; 0 for none, -1 when the connection
// is over.
func (d *rogueDialog) answer(stage, proper string) int { return d.express(d.feels(stage), proper) }

func (d *rogueDialog) express(mood, proper string) int {
	switch mood {
	case "":
		mood = proper
	case "cut":
		return -1
	case "half", "silence":
		if mood == "half" && d.conn.CloseWrite() != nil {
			return -1
		}
		_, _ = io.Copy(io.Discard, d.r) // until the client gives up
		return -1
	case "garbage":
		if _, err := io.WriteString(d.conn, "\x00\x16\x03\xff blah\n\n2xx\r\n"); err != nil {
			return -1
		}
		return 0
	}
	if !d.write(mood) || strings.HasPrefix(mood, "421") {
		return -1
	}
	var code int
	if _, err := fmt.Sscanf(mood, "%3d", &code); err != nil {
		return -1
	}
	return code
}

func (d *rogueDialog) write(reply string) bool {
	_, err := io.WriteString(d.conn, reply+"\r\n")
	return err == nil
}

func bracketed(line string) string {
	_, rest, _ := strings.Cut(line, "<")
	address, _, _ := strings.Cut(rest, ">")
	return address
}
