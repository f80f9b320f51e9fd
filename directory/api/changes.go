package api

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"sealpost/directory/store"
	"sealpost/internal/reason"
	"sealpost/lookup/keydb"
)

// The feed is written in chunks, so that a page of a large directory is never
// in memory whole, and a client has this long for each chunk.
const (
	feedChunk     = 500
	feedChunkTime = time.Minute
)

// A changesQuery is the query of GET /v1/changes.
type changesQuery struct {
	since string
	limit int
	wait  time.Duration
}

// changes is GET /v1/changes: a page of the feed, at once when there is
// something, else as soon as there is or the wait is over.
func (x *exchange) changes() error {
	if err := x.permit(store.ScopeFeed); err != nil {
		return err
	}
	q, err := readChanges(x.r.URL.RawQuery)
	if err != nil {
		return err
	}
	if err := x.api.feeds.enter(); err != nil {
		return err
	}
	defer x.api.feeds.leave()
	epoch := x.api.opts.Store.Epoch()
	last, err := x.position(epoch, q.since)
	if err != nil {
		return err
	}
	x.extend(q.wait + feedChunkTime)
	if err := x.await(last, q.wait); err != nil {
		return err
	}
	return x.sendChanges(q, epoch, last)
}

func readChanges(query string) (changesQuery, error) {
	q := changesQuery{limit: keydb.MaxChanges}
	values, err := url.ParseQuery(query)
	if err != nil {
		return q, malformed("The query cannot be read.")
	}
	for name, all := range values {
		if len(all) != 1 {
			return q, malformed("Give %q once.", name)
		}
		switch name {
		case "since":
			q.since = all[0]
		case "limit":
			if q.limit, err = readNumber(name, all[0], 1, keydb.MaxChanges); err != nil {
				return q, err
			}
		case "wait":
			seconds, err := readNumber(name, all[0], 0, int(keydb.MaxWait.Seconds()))
			if err != nil {
				return q, err
			}
			q.wait = time.Duration(seconds) * time.Second
		default:
			return q, malformed("The parameters of this call are since, limit and wait.")
		}
	}
	return q, nil
}

func readNumber(name, text string, least, most int) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most || strings.HasPrefix(text, "+") {
		return 0, malformed("%s must be a number from %d to %d.", name, least, most)
	}
	return n, nil
}

// position reads a cursor, EPOCH.SEQ. One of another database, or of a future
// that a restored backup has not seen, is not known.
func (x *exchange) position(epoch, cursor string) (uint64, error) {
	if cursor == "" {
		return 0, nil
	}
	gone := refuse(http.StatusGone, reason.CursorUnknown, "This cursor is not of this database. Begin again without since.")
	at, err := keydb.ParseCursor(cursor)
	if err != nil || at.Epoch != epoch {
		return 0, gone
	}
	ctx, cancel := x.context()
	defer cancel()
	newest, err := x.api.opts.Store.Sequence(ctx)
	if err != nil {
		return 0, err
	}
	if at.Seq > newest {
		return 0, gone
	}
	return at.Seq, nil
}

// extend moves the deadlines of the connection, which are for short calls.
func (x *exchange) extend(d time.Duration) {
	_ = http.NewResponseController(x).SetWriteDeadline(time.Now().Add(d)) // not every server can
}

// await waits for a change after last. That there is none in time is no error.
func (x *exchange) await(last uint64, wait time.Duration) error {
	if wait == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(x.r.Context(), wait)
	defer cancel()
	err := x.api.opts.Store.Wait(ctx, last)
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) && x.r.Context().Err() == nil {
		return nil
	}
	return err
}

// sendChanges writes the page. What goes wrong before its first line is a
// problem; after it, the answer breaks off, and without its last line the
// client does not take it.
func (x *exchange) sendChanges(q changesQuery, epoch string, last uint64) error {
	page := keydb.NewPageWriter(x, q.since)
	complete := false
	for left := q.limit; left > 0 && !complete; {
		n := min(left, feedChunk)
		changes, err := x.nextChanges(last, n)
		if err != nil {
			return err
		}
		x.beginFeed()
		for _, c := range changes {
			if err := page.Write(WireChange(c)); err != nil {
				return err
			}
			last = c.Seq
		}
		left -= len(changes)
		complete = len(changes) < n
		x.extend(feedChunkTime)
	}
	ctx, cancel := x.context()
	defer cancel()
	newest, err := x.api.opts.Store.Sequence(ctx)
	if err != nil {
		return err
	}
	return page.End(keydb.Cursor{Epoch: epoch, Seq: last}.String(), complete, max(newest, last))
}

func (x *exchange) nextChanges(since uint64, limit int) ([]store.Change, error) {
	ctx, cancel := x.context()
	defer cancel()
	return x.api.opts.Store.Changes(ctx, since, limit)
}

func (x *exchange) beginFeed() {
	h := x.Header()
	h["Content-Type"] = []string{keydb.TypeFeed}
	h["Cache-Control"] = []string{"no-store"}
}
