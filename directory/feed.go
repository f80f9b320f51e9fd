package directory

import (
	"context"
	"errors"
	"time"

	"sealpost/directory/api"
	"sealpost/directory/store"
	"sealpost/lookup/keydb"
)

// A feed is the store's changes in the form in which a mirror follows them: the
// index follows the store as a relay follows the directory, but for the network
// between.
type feed struct{ store *store.Store }

// Changes is as keydb.Client.Changes.
func (f feed) Changes(ctx context.Context, cursor string, limit int, wait time.Duration) (keydb.Page, error) {
	epoch := f.store.Epoch()
	at := keydb.Cursor{Epoch: epoch}
	if cursor != "" {
		var err error
		if at, err = keydb.ParseCursor(cursor); err != nil || at.Epoch != epoch {
			return keydb.Page{}, keydb.ErrCursor
		}
	}
	newest, err := f.store.Sequence(ctx)
	if err != nil {
		return keydb.Page{}, err
	}
	if at.Seq > newest {
		return keydb.Page{}, keydb.ErrCursor
	}
	if at.Seq == newest {
		if err := f.await(ctx, at.Seq, wait); err != nil {
			return keydb.Page{}, err
		}
	}
	return f.page(ctx, at, limit)
}

// await waits for a change after seq. That none comes in time is no error.
func (f feed) await(ctx context.Context, seq uint64, wait time.Duration) error {
	if wait <= 0 {
		return nil
	}
	limited, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	err := f.store.Wait(limited, seq)
	if err != nil && ctx.Err() == nil && errors.Is(limited.Err(), context.DeadlineExceeded) {
		return nil
	}
	return err
}

func (f feed) page(ctx context.Context, at keydb.Cursor, limit int) (keydb.Page, error) {
	changes, err := f.store.Changes(ctx, at.Seq, limit)
	if err != nil {
		return keydb.Page{}, err
	}
	newest, err := f.store.Sequence(ctx)
	if err != nil {
		return keydb.Page{}, err
	}
	page := keydb.Page{Complete: len(changes) < limit}
	for _, c := range changes {
		page.Changes = append(page.Changes, api.WireChange(c))
		at.Seq = c.Seq
	}
	page.Next, page.Sequence = at.String(), max(newest, at.Seq)
	return page, nil
}
