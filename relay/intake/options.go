package intake

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"sealpost/internal/address"
	"sealpost/internal/reason"
)

// A Protocol is what the listener speaks.
type Protocol int

// The protocols.
const (
	SMTP Protocol = iota // RFC 5321
	LMTP                 // RFC 2033
)

// A TLSMode says how a listener uses TLS.
type TLSMode int

// The modes.
const (
	TLSNone     TLSMode = iota // plain
	TLSStart                   // STARTTLS is offered (RFC 3207)
	TLSRequire                 // no mail before STARTTLS
	TLSImplicit                // TLS from the first byte (RFC 8314)
)

// BareNewline says what becomes of bare CR and bare LF in a message.
type BareNewline int

// The zero value is Reject.
const (
	Reject    BareNewline = iota // 554 5.6.11 after the end of data
	Normalize                    // each becomes CRLF before the handler sees it
)

// Options are the settings of a Server. Zero values of numbers are defaults;
// negative ones turn a limit off where that is said.
type Options struct {
	Hostname    string // in greeting and EHLO; required
	Name        string // of the listener: Client.Listener
	Protocol    Protocol
	Handler     Handler // required
	TLS         TLSMode
	TLSConfig   func() *tls.Config // asked for every handshake, so that new certificates serve at once; required unless TLSNone
	Auth        Authenticator      // nil: AUTH is not offered; it never is without TLS
	XForward    []netip.Prefix     // peers that may use XFORWARD
	XClient     []netip.Prefix     // peers that may use XCLIENT
	Proxy       []netip.Prefix     // peers that must begin with a PROXY header; nobody else's is read
	BareNewline BareNewline
	Without     Without
	OfferDSN    func() bool // whether DSN (RFC 3461) can be honoured now; nil: always
	Limits      Limits
	Timeouts    Timeouts
	Hooks       Hooks
	Log         *slog.Logger // dialog trouble at level debug; nil: none
}

// An Authenticator checks a name and a password (AUTH PLAIN and LOGIN).
type Authenticator func(ctx context.Context, user, password string) bool

// Without names extensions that are not offered.
type Without struct {
	Chunking   bool // CHUNKING and BINARYMIME (RFC 3030)
	DSN        bool // RFC 3461
	UTF8       bool // SMTPUTF8 (RFC 6531)
	RequireTLS bool // RFC 8689
}

// Limits bound what clients may take.
type Limits struct {
	MessageSize  int64 // octets without dot-stuffing; default 50 MiB
	Recipients   int   // accepted in one transaction; default 1000
	Connections  int   // at a time; default 1000
	PerClient    int   // connections at a time from one IPv4 address or IPv6 /64; default half of Connections; negative: no limit
	Errors       int   // protocol errors before a connection is closed; default 20
	AuthFailures int   // from one IPv4 address or IPv6 /64 in ten minutes, over all its connections; default 20. Three end a connection
	MinRate      int64 // octets a second that a sender of data must reach over each Timeouts.Window; default 100; negative: no floor
}

// Timeouts bound how long a client may take.
type Timeouts struct {
	Command   time.Duration // for one command line; default 5 minutes (RFC 5321 section 4.5.3.2.7)
	Window    time.Duration // over which MinRate is measured; a stalled sender is gone after two at most; default 1 minute
	Write     time.Duration // for a reply to leave; default 1 minute
	Handshake time.Duration // for a TLS handshake; default 30 seconds
	Proxy     time.Duration // for a PROXY header; default 5 seconds
	Greeting  time.Duration // how long a client must hold its tongue before the greeting; default 0: only what came already is seen
}

// Hooks are called for metrics; each may be nil. They must not block.
type Hooks struct {
	Opened   func()             // a connection was accepted
	Closed   func()             // it is gone
	Refused  func(reason.Token) // intake itself refused a connection, a command or a message
	Received func(octets int64) // a message's content came in whole
}

const (
	defaultMessageSize = 50 << 20
	maxAuthFailures    = 3 // in one connection
)

// withDefaults checks o and fills what was left out.
func (o Options) withDefaults() (Options, error) {
	if _, err := address.Domain(o.Hostname); err != nil {
		return o, fmt.Errorf("intake: hostname %q: %w", o.Hostname, err)
	}
	if o.Handler == nil {
		return o, errors.New("intake: no handler")
	}
	if o.Limits.MessageSize < 0 || min(o.Limits.Recipients, o.Limits.Connections, o.Limits.Errors, o.Limits.AuthFailures) < 0 {
		return o, errors.New("intake: a limit that cannot be turned off is negative")
	}
	if o.TLS != TLSNone && o.TLSConfig == nil {
		return o, errors.New("intake: TLS without a configuration")
	}
	setDefault(&o.Limits.MessageSize, defaultMessageSize)
	setDefault(&o.Limits.Recipients, 1000)
	setDefault(&o.Limits.Connections, 1000)
	setDefault(&o.Limits.PerClient, max(1, o.Limits.Connections/2))
	setDefault(&o.Limits.Errors, 20)
	setDefault(&o.Limits.AuthFailures, 20)
	setDefault(&o.Limits.MinRate, 100)
	setDefault(&o.Timeouts.Command, 5*time.Minute)
	setDefault(&o.Timeouts.Window, time.Minute)
	setDefault(&o.Timeouts.Write, time.Minute)
	setDefault(&o.Timeouts.Handshake, 30*time.Second)
	setDefault(&o.Timeouts.Proxy, 5*time.Second)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Hooks = o.Hooks.withDefaults()
	return o, nil
}

func setDefault[T int | int64 | time.Duration](v *T, d T) {
	if *v == 0 {
		*v = d
	}
}

func (h Hooks) withDefaults() Hooks {
	if h.Opened == nil {
		h.Opened = func() {}
	}
	if h.Closed == nil {
		h.Closed = func() {}
	}
	if h.Refused == nil {
		h.Refused = func(reason.Token) {}
	}
	if h.Received == nil {
		h.Received = func(int64) {}
	}
	return h
}
