// Package relay is the service in the middle: it takes plain mail from intake,
// decides for each recipient by policy and directory, seals, and forwards to
// upstream. The client's 250 is upstream's own: nothing is answered that has
// not been taken.
package relay

import (
	"context"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"

	"sealpost/internal/reason"
	"sealpost/relay/gather"
	"sealpost/relay/intake"
	"sealpost/relay/reply"
	"sealpost/relay/spill"
	"sealpost/relay/upstream"
	"sealpost/smime"
)

// A Forwarder brings one outgoing copy to the next server. upstream.Client is
// the one that `serve` uses.
type Forwarder interface {
	Send(ctx context.Context, e upstream.Envelope, b upstream.Body) (*upstream.Outcome, error)
}

// Settings are what a reload exchanges as a whole. A message is treated by the
// settings that held when its MAIL came.
type Settings struct {
	Decider  *Decider
	Upstream Forwarder
	Networks map[string][]netip.Prefix // by listener: who may relay without AUTH
	Gather   map[string]bool           // by listener: whether certificates are learned from signed mail
	Drop     []string                  // header fields that do not survive sealing; nil: smime's list
	Limits   smime.Limits
	// Provisioner has keys made for `no_key: provision`; nil: nobody does.
	Provisioner Provisioner
	Waiting     *Waiting // nil: nothing waits here, what upstream does not take stays with the client
}

// Options make a Relay.
type Options struct {
	Hostname string // stands in Received fields
	Settings *Settings
	Spill    *spill.Pool
	Metrics  *Metrics
	Log      *slog.Logger
	Now      func() time.Time // nil: time.Now
	Parallel int              // copies of one message under way at once; 0: 4
	Gatherer *gather.Gatherer // takes copies of signed mail; nil: nobody does
}

// A Relay handles the transactions of any number of listeners.
type Relay struct {
	hostname string
	spill    *spill.Pool
	metrics  *Metrics
	log      *slog.Logger
	now      func() time.Time
	parallel int
	gatherer *gather.Gatherer
	settings atomic.Pointer[Settings]
}

// New makes a relay. It starts nothing.
func New(o Options) *Relay {
	r := &Relay{hostname: o.Hostname, spill: o.Spill, metrics: o.Metrics, log: o.Log, now: o.Now, parallel: o.Parallel, gatherer: o.Gatherer}
	if r.now == nil {
		r.now = time.Now
	}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	if r.parallel <= 0 {
		r.parallel = 4
	}
	r.settings.Store(o.Settings)
	return r
}

// Reload exchanges the settings; transactions under way keep the old ones.
func (r *Relay) Reload(s *Settings) { r.settings.Store(s) }

// Mail opens a transaction (RFC 5321 section 3.3).
func (r *Relay) Mail(_ context.Context, c *intake.Client, m intake.Mail) (intake.Transaction, error) {
	now := r.now()
	return &transaction{
		relay: r, settings: r.settings.Load(), client: c, mail: m, id: newID(now), arrived: now,
	}, nil
}

// MayRelay gives the refusal that a client hears at RCPT when it may not send
// through this listener; nil when it may. That is rule 5 of the design: networks
// or AUTH (user is not empty), never neither.
func (s *Settings) MayRelay(listener string, client netip.Addr, user string) *reply.Error {
	if user != "" {
		return nil
	}
	for _, n := range s.Networks[listener] {
		if n.Contains(client.Unmap()) {
			return nil
		}
	}
	return errRelayDenied
}

var errRelayDenied = reply.Errorf(550, reply.Enhanced{5, 7, 1}, reason.RelayDenied,
	"Relaying denied: this client is in none of the listener's networks and has not authenticated")
