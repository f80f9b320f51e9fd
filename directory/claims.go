package directory

import (
	"context"
	"errors"

	"sealpost/directory/claim"
	"sealpost/directory/provision"
)

// ErrClaimPage says that keys could be claimed, but nowhere.
var ErrClaimPage = errors.New("the directory keeps keys for recipients, and has no page on which they could be claimed")

// openClaims makes the engine behind the pages of the claim.
func (d *Directory) openClaims() (err error) {
	if d.opts.Claim == nil {
		return nil
	}
	if d.opts.Page == nil {
		return ErrClaimPage
	}
	opts := *d.opts.Claim
	opts.Store, opts.Settle, opts.Log, opts.Clock = d.store, d.settle, d.opts.Log, d.opts.Clock
	d.claims, err = claim.New(opts)
	return err
}

// ClaimStats counts what the engine of the claim does; ok is false without one.
func (d *Directory) ClaimStats() (s claim.Stats, ok bool) {
	if d.claims == nil {
		return s, false
	}
	return d.claims.Stats(), true
}

// notify has a notice written to somebody whose key waits for him.
func (d *Directory) notify(ctx context.Context, n provision.Notice) {
	err := d.claims.Notify(ctx, claim.Notice{Address: n.Address.String(), References: n.References, Language: n.Language, Sender: n.Sender})
	if err != nil {
		d.opts.Log.Warn("a notice could not be stored, and is made up for later", "address", n.Address.Key(), "error", err)
	}
}
