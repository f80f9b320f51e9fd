package relay_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"sealpost/internal/testkit"
	"sealpost/relay"
	"sealpost/relay/gather"
)

// learns puts a Gatherer behind the house; what it is offered comes out.
func (h *house) learns(t *testing.T, opts gather.Options) (*gather.Gatherer, chan []byte) {
	t.Helper()
	got := make(chan []byte, 100)
	if opts.Learn == nil {
		opts.Learn = func(_ context.Context, r io.Reader) error {
			b, err := io.ReadAll(r)
			got <- b
			return err
		}
	}
	g := gather.New(opts)
	h.settings.Gather = map[string]bool{listener: true}
	h.relay = relay.New(relay.Options{Hostname: "relay.bank.example", Settings: h.settings, Spill: h.pool, Gatherer: g})
	return g, got
}

// signedMail has been signed by somebody.
func signedMail(t *testing.T, h *house, detached bool, size int) string {
	text := "Content-Type: text/plain\r\n\r\n" + strings.Repeat("signed text\r\n", size)
	d := testkit.SignedData{Content: []byte(text), Detached: detached, Signs: []testkit.Signature{{ID: h.ca.For(t, "statements@bank.example")}}}
	return string(d.Mail(t, "From: statements@bank.example\r\nTo: anna@example.org\r\n"))
}

// TestSignedMailIsCopied: byte for byte, from listeners where that is wanted,
// after it was accepted, and nothing else.
func TestSignedMailIsCopied(t *testing.T) {
	h := newHouse(t)
	h.person(t, "anna@example.org", testkit.Leaf{})
	h.person(t, "550@example.org", testkit.Leaf{})
	g, got := h.learns(t, gather.Options{})
	other := testClient()
	other.Listener = "127.0.0.1:26"
	h.settings.Networks["127.0.0.1:26"] = h.settings.Networks[listener]
	lmtp := testClient()
	lmtp.LMTP = true
	detached, opaque := signedMail(t, h, true, 1), signedMail(t, h, false, 10000)
	h.send(t, testClient(), detached, "anna@example.org")
	h.send(t, testClient(), opaque, "anna@example.org")
	h.send(t, lmtp, detached, "anna@example.org", "550@example.org")
	h.send(t, other, detached, "anna@example.org")
	h.send(t, testClient(), crlf("From: a@bank.example\n\nnot signed\n"), "anna@example.org")
	if said := h.send(t, testClient(), detached, "550@example.org"); said[0].Positive() {
		t.Fatalf("%v", said)
	}
	g.Close(t.Context())
	close(got)
	var all []string
	for b := range got {
		all = append(all, string(b))
	}
	if n := g.Count(gather.Learned); n != 3 || len(all) != 3 {
		t.Fatalf("%d messages", n)
	}
	for _, m := range all {
		if m != detached && m != opaque {
			t.Errorf("a message came changed: %.300q", m)
		}
	}
}

// TestLearningIsNeverInTheWay: a learner that stands still, fails or has no room
// changes nothing about mail.
func TestLearningIsNeverInTheWay(t *testing.T) {
	stuck := make(chan struct{})
	for name, opts := range map[string]gather.Options{
		"stuck": {Workers: 1, Learn: func(context.Context, io.Reader) error { <-stuck; return nil }},
		"fails": {Learn: func(context.Context, io.Reader) error { return errors.New("away") }},
		"small": {MaxSize: 1000},
		"full":  {Memory: 1000},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			anna := h.person(t, "anna@example.org", testkit.Leaf{})
			g, _ := h.learns(t, opts)
			message := signedMail(t, h, true, 100)
			for range 20 {
				if said := h.send(t, testClient(), message, "anna@example.org"); !said[0].Positive() {
					t.Fatalf("%v", said)
				}
			}
			for _, m := range h.sink.Wait(t, 20) {
				if opened := testkit.OpenSSLOpen(t, m.Raw, anna); !strings.Contains(message, string(opened[len(opened)/2:])) {
					t.Error("the mail inside was changed")
				}
			}
			if name == "stuck" {
				close(stuck)
			}
			g.Close(t.Context())
			want := map[string]string{"stuck": "20 0 0 0 0", "fails": "0 0 20 0 0", "small": "0 0 0 20 0", "full": "0 0 0 0 20"}[name]
			var counts []string
			for _, r := range gather.Results() {
				counts = append(counts, fmt.Sprint(g.Count(r)))
			}
			if s := strings.Join(counts, " "); s != want {
				t.Errorf("%s, want %s", s, want)
			}
		})
	}
}
