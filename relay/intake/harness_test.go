package intake

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sealpost/internal/reason"
	"sealpost/internal/testkit"
	"sealpost/relay/reply"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

// A postbox is a Handler that keeps what it gets. Addresses steer it: a
// recipient whose local part is a number is refused with that code; the sender
// says what Data does.
type postbox struct {
	mu       sync.Mutex
	opened   int
	closed   int
	letters  []letter
	clients  []Client
	sync     chan struct{} // Data waits for it when it is not nil
	started  chan struct{} // Data says that it runs
	failures []error       // from content
}

type letter struct {
	mail  Mail
	rcpts []Rcpt
	body  string
}

type posting struct {
	box *postbox
	letter
	lmtp   bool
	closed bool
}

func (b *postbox) Mail(_ context.Context, c *Client, m Mail) (Transaction, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.clients = append(b.clients, *c)
	switch m.From.Local() {
	case "refused":
		return nil, reply.Errorf(550, reply.Enhanced{5, 7, 1}, reason.RelayDenied, "Relaying denied")
	case "broken":
		return nil, io.ErrClosedPipe
	case "panics-at-mail":
		panic("the handler's own: canary")
	}
	b.opened++
	return &posting{box: b, letter: letter{mail: m}, lmtp: c.LMTP}, nil
}

func (p *posting) Rcpt(_ context.Context, r Rcpt) error {
	if code, err := strconv.Atoi(r.To.Local()); err == nil {
		return reply.Errorf(code, reply.Enhanced{code / 100, 1, 1}, reason.NoCertificate, "No certificate for <%s>", r.To)
	}
	if r.To.Local() == "panics" {
		_ = p.rcpts[len(p.rcpts)]
	}
	p.rcpts = append(p.rcpts, r)
	return nil
}

func (p *posting) Data(ctx context.Context, content io.Reader) []reply.Reply {
	b := p.box
	if b.started != nil {
		b.started <- struct{}{}
	}
	switch p.mail.From.Local() {
	case "early-no":
		return p.all(reply.New(554, reply.Enhanced{5, 6, 0}, "Not wanted"))
	case "early-yes":
		return p.all(reply.New(250, reply.Enhanced{2, 0, 0}, "Of course"))
	case "after-one":
		var one [1]byte
		_, _ = io.ReadFull(content, one[:])
		return p.all(reply.New(554, reply.Enhanced{5, 6, 0}, "Read one"))
	case "silent":
		_, _ = io.Copy(io.Discard, content)
		return nil
	case "panics":
		panic("the handler's own: canary")
	case "lines":
		_, _ = io.Copy(io.Discard, content)
		return p.all(reply.New(550, reply.Enhanced{5, 7, 1}, "one\ntwo ü\rthree"))
	}
	var body bytes.Buffer
	if _, err := io.Copy(&body, content); err != nil {
		b.mu.Lock()
		b.failures = append(b.failures, err)
		b.mu.Unlock()
		return p.all(reply.New(250, reply.Enhanced{2, 0, 0}, "A yes that must never be said"))
	}
	if b.sync != nil {
		select {
		case <-b.sync:
		case <-ctx.Done():
			return p.all(reply.Of(ctx.Err()).Reply)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	p.body = body.String()
	b.letters = append(b.letters, p.letter)
	said := p.all(reply.New(250, reply.Enhanced{2, 0, 0}, "Queued"))
	for i, r := range p.rcpts {
		if p.lmtp && r.To.Local() == "full" {
			said[i] = reply.New(452, reply.Enhanced{4, 2, 2}, "Mailbox full")
		}
	}
	return said
}

func (p *posting) all(r reply.Reply) []reply.Reply {
	n := 1
	if p.lmtp {
		n = len(p.rcpts)
	}
	out := make([]reply.Reply, n)
	for i := range out {
		out[i] = r
	}
	return out
}

func (p *posting) Close() {
	p.box.mu.Lock()
	defer p.box.mu.Unlock()
	if p.closed {
		panic("closed twice")
	}
	p.closed = true
	p.box.closed++
}

func (b *postbox) taken() []letter {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]letter(nil), b.letters...)
}

func (b *postbox) client(i int) Client {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.clients[i]
}

// A house is a running server with its postbox.
type house struct {
	*Server
	box    *postbox
	addr   string
	served chan error
}

func loopback() []netip.Prefix {
	return []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
}

// open starts a server; it is shut down, and must be empty, at the end of the
// test.
func open(t testing.TB, change func(*Options)) *house {
	t.Helper()
	box := &postbox{}
	o := Options{Hostname: "relay.example", Name: "test", Handler: box}
	if change != nil {
		change(&o)
	}
	if h, ok := o.Handler.(*postbox); ok {
		box = h
	}
	s, err := NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &house{Server: s, box: box, addr: l.Addr().String(), served: make(chan error, 1)}
	go func() { h.served <- s.Serve(l) }()
	t.Cleanup(func() { h.shut(t) })
	return h
}

func (h *house) shut(t testing.TB) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := h.Shutdown(ctx); err != nil {
		t.Errorf("shutdown: %v", err)
	}
	if h.served != nil {
		<-h.served
		h.served = nil
	}
	h.box.mu.Lock()
	defer h.box.mu.Unlock()
	if h.box.opened != h.box.closed {
		t.Errorf("%d transactions were opened and %d closed", h.box.opened, h.box.closed)
	}
}

// A caller is the client's side of a dialog.
type caller struct {
	net.Conn
	t testing.TB
	r *bufio.Reader
}

func (h *house) call(t testing.TB) *caller {
	t.Helper()
	c := h.dial(t)
	c.expect("220 relay.example ESMTP Sealpost")
	return c
}

func (h *house) dial(t testing.TB) *caller {
	t.Helper()
	nc, err := net.Dial("tcp", h.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	return newCaller(t, nc)
}

func newCaller(t testing.TB, nc net.Conn) *caller {
	_ = nc.SetDeadline(time.Now().Add(patience))
	return &caller{nc, t, bufio.NewReader(nc)}
}

func (c *caller) send(s string) {
	c.t.Helper()
	if _, err := io.WriteString(c, s); err != nil {
		c.t.Fatalf("sending %.40q: %v", s, err)
	}
}

// line is the next line of a reply.
func (c *caller) line() string {
	c.t.Helper()
	s, err := c.r.ReadString('\n')
	if err != nil {
		c.t.Fatalf("waiting for a reply: %v (%q)", err, s)
	}
	if !strings.HasSuffix(s, "\r\n") {
		c.t.Fatalf("reply %q does not end with CRLF", s)
	}
	return strings.TrimSuffix(s, "\r\n")
}

func (c *caller) expect(lines ...string) {
	c.t.Helper()
	for _, want := range lines {
		if got := c.line(); got != want {
			c.t.Fatalf("got  %s\nwant %s", got, want)
		}
	}
}

// say sends a line and wants the reply.
func (c *caller) say(line string, replies ...string) {
	c.t.Helper()
	c.send(line + "\r\n")
	c.expect(replies...)
}

// hello sends EHLO and gives the extensions.
func (c *caller) hello(verb string) []string {
	c.t.Helper()
	c.send(verb + " client.example\r\n")
	var out []string
	for {
		l := c.line()
		if !strings.HasPrefix(l, "250") {
			c.t.Fatalf("%s: %s", verb, l)
		}
		out = append(out, l[4:])
		if l[3] == ' ' {
			return out
		}
	}
}

// closed wants the end of the connection.
func (c *caller) closed() {
	c.t.Helper()
	if rest, err := io.ReadAll(c.r); err != nil || len(rest) > 0 {
		c.t.Fatalf("the connection is not closed: %q, %v", rest, err)
	}
}

// startTLS changes to TLS.
func (c *caller) startTLS(config *tls.Config) *caller {
	c.t.Helper()
	c.say("STARTTLS", "220 2.0.0 Ready to start TLS")
	t := tls.Client(c.Conn, config)
	if err := t.Handshake(); err != nil {
		c.t.Fatal(err)
	}
	return newCaller(c.t, t)
}

// tlsPair is a server's configuration and a client's that trusts it.
func tlsPair(t testing.TB) (server, client *tls.Config) {
	t.Helper()
	ca := testkit.NewCA(t)
	id := ca.Issue(t, testkit.Leaf{Name: "relay.example", DNSNames: []string{"relay.example"}, Key: "p256", ExtUsage: serverAuth})
	cert, err := tls.X509KeyPair(id.CertPEM, id.KeyPEM)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{cert}}, &tls.Config{RootCAs: pool(ca), ServerName: "relay.example"}
}

var serverAuth = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}

func pool(ca *testkit.CA) *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(ca.Cert)
	return p
}
