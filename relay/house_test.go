package relay_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"sealpost/internal/address"
	"sealpost/internal/certificate"
	"sealpost/internal/reason"
	"sealpost/internal/testkit"
	"sealpost/lookup"
	"sealpost/relay"
	"sealpost/relay/intake"
	"sealpost/relay/policy"
	"sealpost/relay/reply"
	"sealpost/relay/spill"
	"sealpost/relay/upstream"
	"sealpost/smime/cms"
)

// directory is a lookup.Source that knows a few people. An address that is in
// down cannot be asked about.
type directory struct {
	certs map[string][]*certificate.Certificate
	down  map[string]bool
}

func (d *directory) Lookup(_ context.Context, a address.Address) lookup.Answer {
	if d.down[a.Key()] {
		return lookup.Answer{Reason: reason.LookupUnavailable, Err: errors.New("directory is down")}
	}
	certs := d.certs[a.Key()]
	if len(certs) == 0 {
		return lookup.Answer{Outcome: lookup.None, Reason: reason.NoCertificate}
	}
	answer := lookup.Answer{Outcome: lookup.Found}
	for _, c := range certs {
		answer.Candidates = append(answer.Candidates, lookup.Candidate{Cert: c, Usable: true})
	}
	return answer
}

// house is a relay with a directory before it and a sink behind it.
type house struct {
	ca        *testkit.CA
	people    map[string]*testkit.Identity
	directory *directory
	sink      *testkit.Sink
	relay     *relay.Relay
	settings  *relay.Settings
	pool      *spill.Pool
	log       logBuffer
}

// logBuffer is a log that is written and read at the same time.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) Bytes() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Clone(l.b.Bytes())
}

const listener = "127.0.0.1:25"

func newHouse(t *testing.T, rules ...policy.Rule) *house {
	t.Helper()
	return newHouseBehind(t, testkit.SinkOptions{}, rules...)
}

func newHouseBehind(t *testing.T, sink testkit.SinkOptions, rules ...policy.Rule) *house {
	t.Helper()
	h := &house{
		ca: testkit.NewCA(t), people: map[string]*testkit.Identity{},
		directory: &directory{certs: map[string][]*certificate.Certificate{}, down: map[string]bool{}},
		sink:      testkit.StartSink(t, sink),
	}
	if len(rules) == 0 {
		rules = []policy.Rule{{Name: "default"}}
	}
	client, err := upstream.New(upstream.Options{
		Hostname: "relay.bank.example", Servers: []upstream.Server{{Address: h.sink.Addr, TLS: upstream.TLSNone}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	h.settings = &relay.Settings{
		Decider: &relay.Decider{
			Policy: policy.New(rules), Directory: h.directory, Content: relay.Content{Auto: true}, MaxCertificates: 4,
		},
		Upstream: client,
		Networks: map[string][]netip.Prefix{listener: {netip.MustParsePrefix("127.0.0.0/8")}},
	}
	h.pool = spill.New(spill.Options{Dir: t.TempDir()})
	h.relay = relay.New(relay.Options{
		Hostname: "relay.bank.example", Settings: h.settings, Spill: h.pool,
		Log: slog.New(slog.NewTextHandler(&h.log, nil)),
	})
	t.Cleanup(func() {
		if s := h.pool.Stats(); s.Spills != 0 || s.Files != 0 {
			t.Errorf("left behind: %+v", s)
		}
	})
	return h
}

// person makes a certificate and puts it into the directory.
func (h *house) person(t *testing.T, address string, leaf testkit.Leaf) *testkit.Identity {
	t.Helper()
	leaf.Addresses = []string{address}
	id := h.ca.Issue(t, leaf)
	c, err := certificate.Parse(id.Cert.Raw)
	if err != nil {
		t.Fatal(err)
	}
	h.people[address] = id
	h.directory.certs[address] = append(h.directory.certs[address], c)
	return id
}

func parse(t *testing.T, s string) address.Address {
	t.Helper()
	a, err := address.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func testClient() *intake.Client {
	return &intake.Client{
		ID: "C1", Listener: listener, Remote: netip.MustParseAddrPort("127.0.0.1:40000"),
		Hello: "mailer.bank.example", ESMTP: true,
	}
}

// begin opens a transaction and names the recipients; it gives their answers.
func (h *house) begin(t *testing.T, c *intake.Client, to ...string) (intake.Transaction, []reply.Reply) {
	t.Helper()
	tx, err := h.relay.Mail(t.Context(), c, intake.Mail{From: parse(t, "statements@bank.example")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tx.Close)
	var said []reply.Reply
	for _, r := range to {
		err := tx.Rcpt(t.Context(), intake.Rcpt{To: parse(t, r)})
		if err == nil {
			said = append(said, reply.New(250, reply.Enhanced{2, 1, 5}, "Ok"))
			continue
		}
		said = append(said, reply.Of(err).Tagged())
	}
	return tx, said
}

// send does a whole transaction whose recipients must all be accepted.
func (h *house) send(t *testing.T, c *intake.Client, message string, to ...string) []reply.Reply {
	t.Helper()
	tx, said := h.begin(t, c, to...)
	for i, r := range said {
		if !r.Positive() {
			t.Fatalf("RCPT %s: %s", to[i], r)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	return tx.Data(ctx, strings.NewReader(message))
}

// crlf makes a message of a Go string literal.
func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

// capableOf puts S/MIME capabilities (RFC 4262) onto the person's certificates.
func (h *house) capableOf(address string, ciphers ...cms.Cipher) {
	for _, c := range h.directory.certs[address] {
		for _, cipher := range ciphers {
			c.Capabilities = append(c.Capabilities, cipher.OID())
		}
	}
}
