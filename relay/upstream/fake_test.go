package upstream

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"

	"sealpost/internal/address"
	"sealpost/relay/policy"
	"sealpost/relay/reply"
)

// A fake is a hostile SMTP server that does as it is told: at each stage it
// can answer anything, or nothing.
type fake struct {
	ehlo []string // extensions
	tls  *tls.Config

	// answer gives what is said at a stage, "" for what an ordinary server
	// says. Stages: greeting, the verbs, end (of the data), line (of the data).
	// What begins with "!" is done, not said: see do.
	answer func(conn, message int, stage, line string) string

	mu     sync.Mutex
	conns  int
	lines  []string   // commands, all connections
	taken  [][]byte   // contents answered with 2yz
	open   []net.Conn // of the listener
	served sync.WaitGroup
}

var allExtensions = []string{"PIPELINING", "SIZE 10000000", "8BITMIME", "DSN", "SMTPUTF8", "ENHANCEDSTATUSCODES"}

// at makes an answer func for one stage.
func at(stage, what string) func(int, int, string, string) string {
	return func(_, _ int, s, _ string) string {
		if s == stage {
			return what
		}
		return ""
	}
}

// dial connects to the fake through memory: no sockets, so that time can be
// synthetic.
func (f *fake) dial(context.Context, string, string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	f.served.Go(func() { f.serve(theirs) })
	return ours, nil
}

// listen serves on a socket until the test ends, and gives the address.
func (f *fake) listen(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.served.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			f.mu.Lock()
			f.open = append(f.open, nc)
			f.mu.Unlock()
			f.served.Go(func() { f.serve(nc) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		f.hangUp()
		f.served.Wait()
	})
	return l.Addr().String()
}

// hangUp closes all connections of the listener.
func (f *fake) hangUp() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, nc := range f.open {
		nc.Close()
	}
	f.open = nil
}

func (f *fake) commands() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Join(f.lines, "|")
}

func (f *fake) contents() [][]byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([][]byte(nil), f.taken...)
}

func (f *fake) connections() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.conns
}

// A peer is one connection of a fake.
type peer struct {
	*fake
	nc      net.Conn
	br      *bufio.Reader
	n       int  // of the connection
	message int  // MAILs so far
	mail    bool // the last one was accepted
}

var errEnd = errors.New("the fake has closed the connection")

func (f *fake) serve(nc net.Conn) {
	defer nc.Close()
	f.mu.Lock()
	f.conns++
	p := &peer{fake: f, nc: nc, br: bufio.NewReaderSize(nc, 1<<16), n: f.conns}
	f.mu.Unlock()
	if p.say("greeting", "", "220 fake.example ESMTP") != nil {
		return
	}
	for {
		line, err := p.br.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		f.mu.Lock()
		f.lines = append(f.lines, line)
		f.mu.Unlock()
		if p.command(line) != nil {
			return
		}
	}
}

func (p *peer) command(line string) error {
	verb, _, _ := strings.Cut(strings.ToUpper(line), " ")
	switch verb {
	case "EHLO":
		lines := append([]string{"fake.example"}, p.ehlo...)
		return p.say(verb, line, "250-"+strings.Join(lines[:len(lines)-1], "\r\n250-")+"\r\n250 "+lines[len(lines)-1])
	case "MAIL":
		p.message++
		p.mail = p.answer == nil || !negative(p.answer(p.n, p.message, verb, line))
		return p.say(verb, line, "250 2.1.0 Ok")
	case "RCPT":
		if !p.mail {
			return p.say(verb, line, "503 5.5.1 MAIL first")
		}
		return p.say(verb, line, "250 2.1.5 Ok")
	case "DATA":
		if !p.mail {
			return p.say(verb, line, "503 5.5.1 MAIL first")
		}
		if err := p.say(verb, line, "354 Go on"); err != nil {
			return err
		}
		if p.answer != nil && negative(p.answer(p.n, p.message, verb, line)) {
			return nil
		}
		content, err := p.data()
		if err != nil {
			return err
		}
		return p.finish(content, line)
	case "BDAT":
		size, _ := strconv.Atoi(strings.Fields(line)[1])
		content := make([]byte, size)
		if _, err := io.ReadFull(p.br, content); err != nil {
			return err
		}
		return p.finish(content, line)
	case "STARTTLS":
		err := p.say(verb, line, "220 Go on")
		if err != nil || p.tls == nil || p.answer != nil && negative(p.answer(p.n, p.message, verb, line)) {
			return err
		}
		t := tls.Server(p.nc, p.tls)
		if err := t.Handshake(); err != nil {
			return err
		}
		p.nc, p.br = t, bufio.NewReaderSize(t, 1<<16)
		return nil
	case "AUTH":
		return p.say(verb, line, "235 2.7.0 Ok")
	case "QUIT":
		p.say(verb, line, "221 2.0.0 Bye")
		return errEnd
	case "RSET", "HELO", "XFORWARD":
		return p.say(verb, line, "250 2.0.0 Ok")
	}
	return p.say("other", line, "500 5.5.2 What?")
}

func negative(said string) bool {
	return strings.HasPrefix(said, "4") || strings.HasPrefix(said, "5")
}

// data reads up to the final dot and takes the stuffing out.
func (p *peer) data() ([]byte, error) {
	var b bytes.Buffer
	for {
		line, err := p.br.ReadBytes('\n')
		if err != nil {
			return nil, err
		}
		if string(line) == ".\r\n" {
			return b.Bytes(), nil
		}
		if p.answer != nil {
			if what := p.answer(p.n, p.message, "line", string(line)); what != "" {
				if err := p.do(what); err != nil {
					return nil, err
				}
			}
		}
		b.Write(bytes.TrimPrefix(line, []byte(".")))
	}
}

func (p *peer) finish(content []byte, line string) error {
	said := "250 2.0.0 Ok: queued as 4F1AB"
	if p.answer != nil {
		if other := p.answer(p.n, p.message, "end", line); other != "" {
			said = other
		}
	}
	if strings.HasPrefix(said, "2") || strings.HasPrefix(said, "!take") {
		p.mu.Lock()
		p.taken = append(p.taken, content)
		p.mu.Unlock()
	}
	return p.do(said)
}

func (p *peer) say(stage, line, said string) error {
	if p.answer != nil {
		if other := p.answer(p.n, p.message, stage, line); other != "" {
			said = other
		}
	}
	return p.do(said)
}

// do says a reply, or does something else.
func (p *peer) do(what string) error {
	switch what {
	case "!drop", "!take and drop":
		p.nc.Close()
		return errEnd
	case "!reset":
		if t, ok := p.nc.(*net.TCPConn); ok {
			t.SetLinger(0)
		}
		p.nc.Close()
		return errEnd
	case "!stall", "!take and stall":
		io.Copy(io.Discard, p.br) // until the client goes away
		return errEnd
	case "!endless":
		for {
			if _, err := io.WriteString(p.nc, "250-and on\r\n"); err != nil {
				return err
			}
		}
	case "!drip": // a byte now and then, which must not move the deadline
		for {
			if _, err := io.WriteString(p.nc, "2"); err != nil {
				return err
			}
		}
	}
	if rest, ok := strings.CutSuffix(what, "!drop"); ok {
		io.WriteString(p.nc, rest+"\r\n")
		p.nc.Close()
		return errEnd
	}
	if raw, ok := strings.CutPrefix(what, "!raw "); ok {
		_, err := io.WriteString(p.nc, raw)
		return err
	}
	_, err := io.WriteString(p.nc, what+"\r\n")
	if strings.HasPrefix(what, "421") {
		p.nc.Close()
		return errEnd
	}
	return err
}

// literal is content that is in memory.
type literal []byte

func (l literal) Size() int64 { return int64(len(l)) }

func (l literal) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(l)
	return int64(n), err
}

// cleared makes a body of anything, by a rule that allows it.
func cleared(t testing.TB, c Content) Body {
	t.Helper()
	rule := policy.Rule{Name: "test", Encrypt: policy.Never}
	clearance, ok := rule.Clear(false)
	if !ok {
		t.Fatal("no clearance")
	}
	b, err := Cleartext(clearance, c)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const sample = "Subject: statement\r\n\r\n.one dot\r\n..two\r\n.\r\nend\r\n"

func sampleBody(t testing.TB) Body { return cleared(t, literal(sample)) }

func mailbox(t testing.TB, s string) address.Address {
	t.Helper()
	a, err := address.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func envelope(t testing.TB, to ...string) Envelope {
	t.Helper()
	e := Envelope{From: mailbox(t, "bank@example.com")}
	for _, s := range to {
		e.To = append(e.To, Rcpt{Address: mailbox(t, s)})
	}
	return e
}

// newClient makes a client that is closed when the test ends.
func newClient(t testing.TB, o Options) *Client {
	t.Helper()
	if o.Hostname == "" {
		o.Hostname = "relay.example"
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// failure gives the *Failure and its *reply.Error of an error of Send.
func failure(t testing.TB, err error) (*Failure, *reply.Error) {
	t.Helper()
	var f *Failure
	if !errors.As(err, &f) {
		t.Fatalf("%v is no *Failure", err)
	}
	return f, reply.Of(err)
}
