// Package smimea asks the DNS for S/MIME certificates (RFC 8162): it makes the
// name where an address has them, asks a validating resolver, and takes from
// the reply what DNSSEC has proved.
//
// It does not validate signatures itself. It believes the AD bit (RFC 6840
// section 5.8) of resolvers that nobody can impersonate: on this machine, over
// TLS, or named as trusted.
package smimea

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
)

// Options says who is asked.
type Options struct {
	Resolvers   []Resolver       // at least one, in order of preference
	Timeout     time.Duration    // of one question, all resolvers together, default 3 s
	Connections int              // questions at a time, default 64; the others wait for their turn
	MaxRecords  int              // in one reply, default 32
	Clock       func() time.Time // default: time.Now
}

const (
	// After a resolver was silent, the others come first for as long.
	restFor = 30 * time.Second
	// How long it is believed that a resolver validates.
	validatedFor = time.Minute
	// What is kept of the time for finding out whether a resolver that gave no
	// reply is there at all: a part, and at most as much.
	alivePart = 8
	aliveMost = 500 * time.Millisecond
)

// ErrDomain is in errors that concern the domain alone: the resolver is there
// and works.
var ErrDomain = errors.New("the trouble is with the domain")

var errSilentDomain = errors.New("it is there, but has found no answer in time: the domain's servers are slow or away")

// A domainError is one with ErrDomain in it.
type domainError struct{ error }

// Is reports ErrDomain.
func (e domainError) Is(target error) bool { return target == ErrDomain }

// Unwrap gives the error itself.
func (e domainError) Unwrap() error { return e.error }

// ErrNotValidating is the error for a resolver that does not check DNSSEC, so
// that its not saying "secure" means nothing.
var ErrNotValidating = errors.New("it does not vouch for the root of the DNS, so it does not validate DNSSEC: turn that on, or ask another resolver")

// A Client asks resolvers. It may be used by many goroutines at once.
type Client struct {
	opts  Options
	peers []*peer
	turns chan struct{}
}

// A peer is one resolver, and what is known of it.
type peer struct {
	Resolver
	pool      pool
	restUntil atomic.Int64 // nanoseconds since 1970
	validated atomic.Int64 // when it last showed that it validates
}

// New checks the options; it does not connect. The errors are ErrResolver and
// ErrUntrusted.
func New(opts Options) (*Client, error) {
	if opts.Timeout <= 0 {
		opts.Timeout = 3 * time.Second
	}
	if opts.Connections <= 0 {
		opts.Connections = 64
	}
	if opts.MaxRecords <= 0 {
		opts.MaxRecords = 32
	}
	if opts.Clock == nil {
		opts.Clock = time.Now
	}
	if len(opts.Resolvers) == 0 {
		return nil, ErrResolver
	}
	c := &Client{opts: opts, turns: make(chan struct{}, opts.Connections)}
	for _, r := range opts.Resolvers {
		r, err := r.check()
		if err != nil {
			return nil, err
		}
		c.peers = append(c.peers, &peer{Resolver: r, pool: pool{most: opts.Connections}})
	}
	return c, nil
}

// Close closes the idle connections.
func (c *Client) Close() {
	for _, p := range c.peers {
		p.pool.close()
	}
}

// Ask asks for the SMIMEA records of a name, one resolver after the other until
// one gives an answer. An error says of each why it gave none: it could not be
// reached or was silent, answered SERVFAIL (as it does when signatures do not
// verify), or with something that cannot be believed.
//
// An answer that is not Secure is given only when the resolver has just shown
// that it validates: then the zone has been proved to be unsigned.
func (c *Client) Ask(ctx context.Context, name string) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, c.opts.Timeout)
	defer cancel()
	select {
	case c.turns <- struct{}{}:
		defer func() { <-c.turns }()
	case <-ctx.Done():
		return Answer{}, fmt.Errorf("no turn in time: %w", ctx.Err())
	}
	var errs []error
	peers := c.inOrder()
	for i, p := range peers {
		a, err := c.askOne(ctx, p, len(peers)-i, name)
		if err == nil {
			return a, nil
		}
		errs = append(errs, fmt.Errorf("resolver %s: %w", p, err))
		if ctx.Err() != nil {
			break
		}
	}
	return Answer{}, errors.Join(errs...)
}

// inOrder puts resolvers that were silent a moment ago behind the others. When
// one has rested, a single question tries it again first.
func (c *Client) inOrder() []*peer {
	now := c.opts.Clock()
	var first, last []*peer
	for _, p := range c.peers {
		until := p.restUntil.Load()
		switch {
		case until == 0:
			first = append(first, p)
		case now.UnixNano() >= until && p.restUntil.CompareAndSwap(until, now.Add(restFor).UnixNano()):
			first = append(first, p)
		default:
			last = append(last, p)
		}
	}
	return append(first, last...)
}

// askOne asks one resolver, within its share of the time.
func (c *Client) askOne(ctx context.Context, p *peer, left int, name string) (Answer, error) {
	deadline, _ := ctx.Deadline()
	share := time.Until(deadline) / time.Duration(left)
	within, cancel := context.WithTimeout(ctx, share)
	defer cancel()
	m, err := c.first(within, share-min(share/alivePart, aliveMost), p, name)
	switch {
	case err == nil, errors.Is(err, ErrDomain):
		p.restUntil.Store(0)
	case !errors.Is(ctx.Err(), context.Canceled): // a caller who left says nothing about the resolver
		p.restUntil.Store(c.opts.Clock().Add(restFor).UnixNano())
	}
	if err != nil {
		return Answer{}, err
	}
	a, err := interpret(m, name, c.opts.MaxRecords)
	if err != nil {
		return Answer{}, err
	}
	a.Resolver = p.String()
	if !a.Secure {
		if err := c.mustValidate(within, p); err != nil {
			return Answer{}, err
		}
	}
	return a, nil
}

// first asks for the records. When no reply comes it finds out who is to blame,
// the resolver or the servers that the resolver asks.
func (c *Client) first(ctx context.Context, share time.Duration, p *peer, name string) (*dns.Msg, error) {
	within, cancel := context.WithTimeout(ctx, share)
	defer cancel()
	m, err := p.exchange(within, name, dns.TypeSMIMEA)
	if err == nil || ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
		return m, err
	}
	if _, silent := p.exchange(ctx, ".", dns.TypeNS); silent != nil {
		return nil, err
	}
	return nil, domainError{errSilentDomain}
}

// mustValidate makes sure that a resolver validates, by what every validating
// one can vouch for: the name servers of the root.
func (c *Client) mustValidate(ctx context.Context, p *peer) error {
	now := c.opts.Clock()
	if at := p.validated.Load(); at != 0 && now.Sub(time.Unix(0, at)) < validatedFor {
		return nil
	}
	m, err := p.exchange(ctx, ".", dns.TypeNS)
	if err != nil {
		return fmt.Errorf("whether it validates DNSSEC cannot be told: %w", err)
	}
	for _, rr := range m.Answer {
		if rr.Header().Rrtype == dns.TypeNS && at(rr, ".") && m.Rcode == dns.RcodeSuccess && m.AuthenticatedData && !m.Truncated {
			p.validated.Store(now.UnixNano())
			return nil
		}
	}
	return ErrNotValidating
}
