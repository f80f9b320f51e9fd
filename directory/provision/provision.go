// Package provision makes keys for people who have none, so that mail to them can
// be sealed today and read by whoever proves later that the mailbox is his.
//
// One address gets one key, however many ask at the same moment on however many
// nodes: within a node the requests wait for each other, and between nodes the
// database decides. The private key exists in memory while it is wrapped, and
// nowhere else; certificate and wrapped key are stored in one transaction.
package provision

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sync/singleflight"

	"sealpost/directory/ca"
	"sealpost/directory/escrow"
	"sealpost/directory/store"
	"sealpost/internal/address"
	"sealpost/internal/certificate"
	"sealpost/lookup"
)

// A Store is what the engine needs of *store.Store.
type Store interface {
	Lookup(ctx context.Context, keys []string) ([][]store.Certificate, error)
	Provision(ctx context.Context, n store.NewKey) (store.Provisioned, error)
	KeyOf(ctx context.Context, fingerprint [32]byte) (store.Key, error)
	WrapAnew(ctx context.Context, fingerprint [32]byte, old, wrapped []byte, keeper, actor string) error
}

// A Pool has private keys that were made ahead.
type Pool interface {
	Take(ctx context.Context) (crypto.Signer, error)
}

// An Issuer makes certificates; it gives the DER of one.
type Issuer interface {
	Issue(r ca.Request) ([]byte, error)
}

// Options say who gets a key, and of what kind.
type Options struct {
	Store  Store
	Issuer Issuer
	Pool   Pool
	Keeper escrow.Keeper

	Exclude   []string // globs over addresses; these get none
	DenyRoles bool     // neither do the addresses of roles
	Rate      Rate
	Lifetime  time.Duration // of certificates; 0: the issuer's own
	// Keep is how long a key stays in escrow after its certificate has ended; 0: for
	// ever.
	Keep time.Duration
	// MinRSABits is what a certificate must have to count as one; see
	// lookup.TrustOptions.
	MinRSABits int
	// Notify is told of every request for an address whose key nobody has claimed
	// yet. It must not wait for the network, and what it forgets is lost: whoever
	// must not miss a key finds it in the store, with all that a Notice has.
	Notify func(context.Context, Notice)

	Log   *slog.Logger     // default: slog.Default
	Clock func() time.Time // default: time.Now
}

// workTime is how long the making of a key may take. It goes on when the one who
// asked has left: he will ask again.
const workTime = time.Minute

// An Engine provisions. Its methods may be called from many goroutines.
type Engine struct {
	opts    Options
	rate    *limiter
	flights singleflight.Group
	hashing chan struct{}
}

// New checks the options.
func New(opts Options) (*Engine, error) {
	if opts.Store == nil || opts.Issuer == nil || opts.Pool == nil || opts.Keeper == nil {
		return nil, errors.New("provision: store, issuer, pool and keeper are needed")
	}
	if opts.Log == nil {
		opts.Log = slog.Default()
	}
	if opts.Clock == nil {
		opts.Clock = time.Now
	}
	if opts.Notify == nil {
		opts.Notify = func(context.Context, Notice) {}
	}
	return &Engine{opts: opts, rate: newLimiter(opts.Rate), hashing: make(chan struct{}, hashers)}, nil
}

// Provision gives the usable certificates of an address, best first, and makes
// one when there is none. The error is a *Refusal, ErrRequest, or trouble.
func (e *Engine) Provision(ctx context.Context, r Request) (certs []store.Certificate, created bool, err error) {
	if err := r.check(); err != nil {
		return nil, false, err
	}
	key := r.Address.Key()
	if certs, err = e.find(ctx, key, r.Address); err != nil {
		return nil, false, err
	}
	if len(certs) == 0 {
		if err := e.permit(r.Address); err != nil {
			return nil, false, err
		}
		certs, created, err = e.makeOnce(ctx, key, r)
		if err != nil {
			return nil, false, err
		}
	}
	e.notify(ctx, r, certs, created)
	return certs, created, nil
}

// find gives what the address has already.
func (e *Engine) find(ctx context.Context, key string, addr address.Address) ([]store.Certificate, error) {
	found, err := e.opts.Store.Lookup(ctx, []string{key})
	if err != nil {
		return nil, err
	}
	usable := e.usable(addr)
	var certs []store.Certificate
	for _, c := range found[0] {
		if usable(c) {
			certs = append(certs, c)
		}
	}
	return certs, nil
}

// usable judges as a relay does that takes the directory's word for whose
// certificate it is.
func (e *Engine) usable(addr address.Address) func(store.Certificate) bool {
	return func(c store.Certificate) bool {
		trusted, err := lookup.NewTrusted(single{c.Cert}, lookup.TrustOptions{Vouch: lookup.Itself, MinRSABits: e.opts.MinRSABits, Clock: e.opts.Clock})
		if err != nil {
			return false
		}
		for _, candidate := range trusted.Lookup(context.Background(), addr).Candidates {
			if candidate.Usable {
				return true
			}
		}
		return false
	}
}

// single is a source that has one certificate.
type single struct{ cert *certificate.Certificate }

// Lookup finds it for everybody.
func (s single) Lookup(context.Context, address.Address) lookup.Answer {
	return lookup.Answer{Outcome: lookup.Found, Candidates: []lookup.Candidate{{Cert: s.cert}}}
}

// makeOnce makes a key, while all others of this node who ask for the same
// address wait. Only the first of them is told that it was created.
func (e *Engine) makeOnce(ctx context.Context, key string, r Request) ([]store.Certificate, bool, error) {
	first := false
	done := e.flights.DoChan(key, func() (any, error) {
		first = true
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), workTime)
		defer cancel()
		return e.make(ctx, key, r)
	})
	select {
	case <-ctx.Done():
		return nil, false, ctx.Err()
	case result := <-done:
		if result.Err != nil {
			return nil, false, result.Err
		}
		p := result.Val.(store.Provisioned)
		return p.Certificates, first && p.Created, nil
	}
}

// make makes a key and its certificate, and stores them unless somebody else was
// faster.
func (e *Engine) make(ctx context.Context, key string, r Request) (store.Provisioned, error) {
	certs, err := e.find(ctx, key, r.Address) // made by the flight before this one
	if err != nil || len(certs) > 0 {
		return store.Provisioned{Certificates: certs}, err
	}
	if err := e.rate.take(e.opts.Clock()); err != nil {
		return store.Provisioned{}, err
	}
	n := store.NewKey{Address: r.Address, References: r.References, Language: r.Language, Sender: r.Sender, Actor: r.Actor, Usable: e.usable(r.Address)}
	if n.Secret, err = e.hash(ctx, r.Secret); err != nil {
		return store.Provisioned{}, err
	}
	private, err := e.prepare(ctx, key, &n)
	if err != nil {
		return store.Provisioned{}, err
	}
	p, err := e.opts.Store.Provision(ctx, n)
	if err != nil {
		return p, err
	}
	if p.Created {
		e.followRotation(ctx, key, &n, private)
		e.opts.Log.Info("provisioned a key", "address", key, "certificate", fmt.Sprintf("%x", n.Cert.Fingerprint()), "keeper", n.Keeper, "by", r.Actor)
	}
	return p, nil
}

// prepare takes a key, has its certificate issued, and wraps it.
func (e *Engine) prepare(ctx context.Context, key string, n *store.NewKey) (crypto.Signer, error) {
	private, err := e.opts.Pool.Take(ctx)
	if err != nil {
		return nil, fmt.Errorf("provision: no key: %w", err)
	}
	der, err := e.opts.Issuer.Issue(ca.Request{Address: n.Address, PublicKey: private.Public(), Lifetime: e.opts.Lifetime})
	if err != nil {
		return nil, fmt.Errorf("provision: no certificate: %w", err)
	}
	if n.Cert, err = certificate.Parse(der); err != nil {
		return nil, fmt.Errorf("provision: the certificate that was issued cannot be read: %w", err)
	}
	if !e.usable(n.Address)(store.Certificate{Cert: n.Cert}) {
		return nil, errors.New("provision: the certificate that was issued could not be used to seal mail: look at directory.ca")
	}
	if n.Wrapped, n.Keeper, err = escrow.Seal(ctx, e.opts.Keeper, private, n.Cert.Fingerprint(), key); err != nil {
		return nil, fmt.Errorf("provision: the key cannot be wrapped: %w", err)
	}
	if e.opts.Keep > 0 {
		n.Expires = n.Cert.NotAfter.Add(e.opts.Keep)
	}
	return private, nil
}

// followRotation wraps a key anew when the master key was rotated between its
// wrapping and its storing: whoever rotates has not seen it.
func (e *Engine) followRotation(ctx context.Context, key string, n *store.NewKey, private crypto.Signer) {
	if e.opts.Keeper.ID() == n.Keeper {
		return
	}
	fingerprint := n.Cert.Fingerprint()
	wrapped, keeper, err := escrow.Seal(ctx, e.opts.Keeper, private, fingerprint, key)
	if err == nil {
		err = e.opts.Store.WrapAnew(ctx, fingerprint, n.Wrapped, wrapped, keeper, n.Actor)
	}
	if err != nil {
		e.opts.Log.Warn("a key is wrapped under a master key that was rotated just now: say sealpost directory escrow rotate again", "address", key, "keeper", n.Keeper, "error", err)
	}
}

// notify tells of a request for an address whose key is in escrow. That it could
// not be found out fails no request.
func (e *Engine) notify(ctx context.Context, r Request, certs []store.Certificate, created bool) {
	for _, c := range certs {
		if c.Origin != store.OriginIssued {
			continue
		}
		k, err := e.opts.Store.KeyOf(ctx, c.Cert.Fingerprint())
		switch {
		case errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrKeyDeleted):
		case err != nil:
			e.opts.Log.Warn("provision: whether a notice is due is not known; it is found out later", "address", r.Address.Key(), "error", err)
		case k.Claimed.IsZero():
			e.opts.Notify(ctx, Notice{Address: r.Address, Fingerprint: k.Fingerprint, References: r.References, Language: r.Language, Sender: r.Sender, Created: created})
			return
		}
	}
}
