package provision

import (
	"context"

	"sealpost/directory/escrow"
	"sealpost/directory/store"
)

// A Rewrapper is what Rewrap needs of *store.Store.
type Rewrapper interface {
	Rewrap(ctx context.Context, to string, batch int, actor string, f func(context.Context, store.Key) ([]byte, string, error)) (store.Rewrapped, error)
}

// rewrapBatch is how many keys one transaction reads.
const rewrapBatch = 100

// Rewrap wraps every key in escrow under the master key that the keeper wraps
// with now, while nodes serve. Keys that other nodes wrap under the old one
// meanwhile are found by calling it again.
func Rewrap(ctx context.Context, s Rewrapper, k escrow.Keeper, actor string) (store.Rewrapped, error) {
	return s.Rewrap(ctx, k.ID(), rewrapBatch, actor, func(ctx context.Context, key store.Key) ([]byte, string, error) {
		return escrow.Rewrap(ctx, k, key.Wrapped, key.Fingerprint, key.Address)
	})
}
