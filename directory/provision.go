package directory

import (
	"context"
	"errors"
	"time"

	"sealpost/directory/api"
	"sealpost/directory/provision"
	"sealpost/lookup/keydb"
)

// ErrNoProvision says that this directory makes no keys.
var ErrNoProvision = errors.New("this directory makes no keys: it needs directory.ca, directory.escrow and directory.provision")

// expireKeysEvery is how often keys are looked for whose time in escrow is over.
const expireKeysEvery = time.Hour

// openProvision makes the engine, and gives it to the API; nothing where keys are
// not made.
func (d *Directory) openProvision(o *api.Options) error {
	if d.opts.Provision == nil {
		return nil
	}
	opts := *d.opts.Provision
	opts.Store, opts.Log, opts.Clock = d.store, d.opts.Log, d.opts.Clock
	if d.claims != nil {
		opts.Notify = d.notify
	}
	var err error
	if d.engine, err = provision.New(opts); err != nil {
		return err
	}
	o.Provisioner = d.engine
	return nil
}

// Provision gives the certificates of an address, and has a key made when it has
// none; created tells that it was made now. Lookups find it when Provision has
// returned. The error is a *provision.Refusal, provision.ErrRequest,
// ErrNoProvision, or trouble.
func (d *Directory) Provision(ctx context.Context, r provision.Request) (a keydb.Answer, created bool, err error) {
	if d.engine == nil {
		return a, false, ErrNoProvision
	}
	certs, created, err := d.engine.Provision(ctx, r)
	if err != nil {
		return a, false, err
	}
	if created {
		d.settle(ctx)
	}
	a.Address = r.Address.Key()
	for _, c := range certs {
		a.Certificates = append(a.Certificates, api.Wire(c))
	}
	return a, created, nil
}

// expireKeys deletes keys whose time in escrow is over, whether keys are still
// made here or not.
func (d *Directory) expireKeys(ctx context.Context) {
	tick := time.NewTicker(expireKeysEvery)
	defer tick.Stop()
	for {
		n, err := d.store.ExpireKeys(ctx, "directory")
		switch {
		case err != nil && ctx.Err() == nil:
			d.opts.Log.Warn("keys whose time in escrow is over could not be deleted, and will be later", "error", err)
		case n > 0:
			d.opts.Log.Info("deleted keys whose time in escrow is over", "keys", n)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
