package api_test

import (
	"context"

	"sealpost/directory/api"
	"sealpost/directory/store"
)

// failing is a store whose database fails, but for the tokens.
type failing struct {
	api.Store
	err error
}

func (f failing) Lookup(context.Context, []string) ([][]store.Certificate, error) { return nil, f.err }
func (f failing) Add(context.Context, []store.New) ([]store.Added, error)         { return nil, f.err }
func (f failing) SetStatus(context.Context, [32]byte, store.Status, string) error { return f.err }
func (f failing) Changes(context.Context, uint64, int) ([]store.Change, error)    { return nil, f.err }
func (f failing) Sequence(context.Context) (uint64, error)                        { return 0, f.err }
