// Package directory is the public-key directory: certificates by mail address,
// kept in a database, learned from signed mail, and given to whoever wants to
// write to somebody.
//
// The rooms below it: store keeps the certificates and their history, harvest
// reads signed mail, importer reads files, provision makes keys for those who
// have none and escrow wraps them, api answers HTTP, portal has the pages for
// people. This package puts them together.
package directory

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"sealpost/directory/api"
	"sealpost/directory/ca"
	"sealpost/directory/claim"
	"sealpost/directory/harvest"
	"sealpost/directory/portal"
	"sealpost/directory/provision"
	"sealpost/directory/store"
	"sealpost/internal/address"
	"sealpost/lookup/keydb"
	"sealpost/lookup/mirror"
)

// Options say what a directory is made of.
type Options struct {
	Store store.Options
	// Index is the file of the read index. Without one, every lookup goes to the
	// database.
	Index string
	// Changed, if not nil, is told which addresses have changed, so that who
	// remembers answers can forget them; nil: any may have. It is called when
	// lookups give the new, and only where there is an index.
	Changed func(addresses []string)
	// Harvester reads signed messages; nil: nothing is learned from mail.
	Harvester api.Harvester
	// API says what is allowed; its Store, Finder, Harvester and Page are set here.
	API api.Options
	// Provision makes keys for addresses that have none; nil: nobody does. Its Store
	// is set here.
	Provision *provision.Options
	// Page is the page for people; nil: there is none. Its Find is set here, and
	// stays nil where lookups need a token.
	Page *portal.Options
	// Authority issues certificates; nil: there is none.
	Authority *ca.Authority
	// Claim lets recipients come to the keys that are kept for them, at the page;
	// nil: there are none. Its Store and Settle are set here, and it sends notices
	// while the directory is open. It needs Page, with its URL.
	Claim *claim.Options
	Log   *slog.Logger     // default: slog.Default
	Clock func() time.Time // default: time.Now
}

// A Directory is one node.
type Directory struct {
	opts      Options
	store     *store.Store
	index     *mirror.Mirror // nil without
	finder    *api.Finder
	engine    *provision.Engine // nil: no keys are made
	claims    *claim.Engine     // nil without
	api       *api.API
	handler   http.Handler
	publisher http.Handler // nil without an authority
	stop      context.CancelFunc
	tasks     sync.WaitGroup
}

// expireEvery is how often certificates are looked for whose time has passed.
// Lookups do not depend on it; mirrors get smaller by it.
const expireEvery = time.Hour

// Open opens the database and the index, and starts what runs in the background.
func Open(ctx context.Context, opts Options) (*Directory, error) {
	if opts.Log == nil {
		opts.Log = slog.Default()
	}
	if opts.Clock == nil {
		opts.Clock = time.Now
	}
	opts.Store.Log, opts.Store.Clock = opts.Log, opts.Clock
	d := &Directory{opts: opts, stop: func() {}}
	if err := d.open(ctx); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

func (d *Directory) open(ctx context.Context) (err error) {
	if d.store, err = store.Open(ctx, d.opts.Store); err != nil {
		return fmt.Errorf("the directory's database: %w", err)
	}
	var beside api.Index
	if d.opts.Index != "" {
		if d.index, err = mirror.Open(mirror.Options{File: d.opts.Index, Changed: d.opts.Changed, Log: d.opts.Log, Clock: d.opts.Clock}); err != nil {
			return fmt.Errorf("the directory's index %s: %w", d.opts.Index, err)
		}
		beside = index{d.index, d.opts.Clock}
	}
	d.finder = api.NewFinder(beside, d.store, d.opts.Clock)
	o := d.opts.API
	o.Store, o.Finder, o.Harvester, o.Log, o.Clock = d.store, d.finder, d.opts.Harvester, d.opts.Log, d.opts.Clock
	if err := d.openClaims(); err != nil {
		return err
	}
	if err := errors.Join(d.addPage(&o), d.openProvision(&o)); err != nil {
		return err
	}
	if d.api, err = api.New(o); err != nil {
		return err
	}
	if d.opts.Authority != nil {
		d.publisher = d.opts.Authority.Handler(d.store)
	}
	d.handler = withAuthority(d.publisher, d.api)
	d.start()
	return nil
}

func (d *Directory) start() {
	ctx, cancel := context.WithCancel(context.Background())
	d.stop = cancel
	if d.index != nil {
		d.tasks.Go(func() {
			if err := d.index.Follow(ctx, feed{d.store}); err != nil && ctx.Err() == nil {
				d.opts.Log.Error("the directory's index follows no more: lookups go to the database", "error", err)
			}
		})
	}
	d.tasks.Go(func() { d.expire(ctx) })
	d.tasks.Go(func() { d.expireKeys(ctx) })
	d.tasks.Go(func() { d.watch(ctx) })
	if d.claims != nil {
		d.claims.Start()
	}
}

// expire gives certificates their last status when their time has passed.
func (d *Directory) expire(ctx context.Context) {
	tick := time.NewTicker(expireEvery)
	defer tick.Stop()
	for {
		n, err := d.store.Expire(ctx)
		switch {
		case err != nil && ctx.Err() == nil:
			d.opts.Log.Warn("expired certificates could not be marked, and will be later", "error", err)
		case n > 0:
			d.opts.Log.Info("certificates have expired", "certificates", n)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// Handler answers HTTP.
func (d *Directory) Handler() http.Handler { return d.handler }

// Find gives the certificates for an address, the best first; none is no error.
func (d *Directory) Find(ctx context.Context, addr address.Address) ([]keydb.Certificate, error) {
	return d.finder.Find(ctx, addr)
}

// ErrNoHarvest says that this directory learns nothing from mail.
var ErrNoHarvest = errors.New("this directory learns nothing from mail: directory.harvest needs roots that vouch for signers")

// Learn reads a signed message and keeps the certificate that it teaches. The
// error is a *harvest.Refusal, ErrNoHarvest, or trouble with the database.
func (d *Directory) Learn(ctx context.Context, message io.Reader) (harvest.Learned, store.Added, error) {
	if d.opts.Harvester == nil {
		return harvest.Learned{}, store.Added{}, ErrNoHarvest
	}
	learned, err := d.opts.Harvester.Read(ctx, message)
	if err != nil {
		return learned, store.Added{}, err
	}
	added, err := d.store.Add(ctx, []store.New{api.Harvested(learned)})
	if err != nil {
		return learned, store.Added{}, err
	}
	d.settle(ctx)
	return learned, added[0], nil
}

// settleTime is how long a writer waits for the index. It is behind by
// milliseconds unless something is wrong, and then waiting does not help.
const settleTime = 2 * time.Second

// settle waits until lookups see what has been written.
func (d *Directory) settle(ctx context.Context) {
	if d.index == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	if seq, err := d.store.Sequence(ctx); err == nil {
		_ = d.index.Wait(ctx, seq) // what was written is written
	}
}

// State is how the directory is now.
type State struct {
	Index mirror.State // zero without an index
	Store error        // why the database does not answer
}

// State asks the database, for monitoring.
func (d *Directory) State(ctx context.Context) (s State) {
	if d.index != nil {
		s.Index = d.index.State()
	}
	_, s.Store = d.store.Sequence(ctx)
	return s
}

// Close ends what runs in the background and closes the files. The handler must
// not be called any more.
func (d *Directory) Close() (err error) {
	d.stop()
	if d.claims != nil {
		d.claims.Close()
	}
	d.tasks.Wait()
	if d.index != nil {
		err = d.index.Close()
	}
	if d.store != nil {
		err = errors.Join(err, d.store.Close())
	}
	return err
}
