package mirror

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"sealpost/lookup/keydb"
)

// A Feed gives the directory's changes. *keydb.Client is one.
type Feed interface {
	// Changes gives the page after a cursor, "" being the beginning, of at most
	// limit changes. When there is none yet it may wait for one, for so long.
	// The error is keydb.ErrCursor when the cursor is not one of this directory.
	Changes(ctx context.Context, cursor string, limit int, wait time.Duration) (keydb.Page, error)
}

// How the feed is followed.
const (
	pageSize     = 1000
	waitForNews  = 30 * time.Second
	restAfter    = time.Second // between questions to a directory that does not wait
	firstBackoff = time.Second
	lastBackoff  = 2 * time.Minute
	// A directory that has another history again so soon is not believed
	// quickly: its mirrors would do nothing but make new copies.
	settled = 10 * time.Minute
)

// Follow keeps the mirror up to date until ctx ends, whose error it returns:
// from where it stands, page by page, and then as changes come. A page that
// does not follow, or does not arrive whole, is asked for again, more and more
// slowly. When the directory has another history than the copy, or the copy is
// damaged, a new one is made beside it, which takes its place when complete.
//
// One Follow may run at a time. The error is also ErrReadOnly.
func (m *Mirror) Follow(ctx context.Context, feed Feed) error {
	if m.opts.ReadOnly {
		return ErrReadOnly
	}
	f := follower{m: m, feed: feed}
	for ctx.Err() == nil {
		pause := f.step(ctx)
		if pause <= 0 {
			continue
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
	return ctx.Err()
}

// A follower remembers how the last steps went.
type follower struct {
	m        *Mirror
	feed     Feed
	failures int       // in a row; see settled
	anew     bool      // a copy was begun, and not one page of it has come
	begun    time.Time // the last copy beside the one that answers
}

// step asks for one page and applies it; it returns how long to rest.
func (f *follower) step(ctx context.Context) (pause time.Duration) {
	start := time.Now()
	r, err := f.target()
	if err != nil {
		return f.failed(err)
	}
	wait := time.Duration(0)
	if r.whole.Load() {
		wait = waitForNews
	}
	page, err := f.feed.Changes(ctx, r.cursor, pageSize, wait)
	if ctx.Err() != nil {
		return 0
	}
	if err == nil {
		err = f.take(r, page)
	}
	if (errors.Is(err, keydb.ErrCursor) || errors.Is(err, errRewound)) && !f.anew {
		f.m.opts.Log.Warn("the directory has another history: a new copy is made beside the old one", "file", f.m.opts.File, "error", err)
		err = errors.Join(err, f.begin())
	}
	if err != nil {
		return f.failed(err)
	}
	f.succeeded()
	if len(page.Changes) > 0 || !page.Complete {
		return 0
	}
	return restAfter - time.Since(start)
}

// target is the replica that the next page is for.
func (f *follower) target() (*replica, error) {
	m := f.m
	m.writing.Lock()
	defer m.writing.Unlock()
	if m.next != nil && m.next.hurt.Load() {
		m.dropNext()
	} else if m.next == nil && !m.current.Load().hurt.Load() {
		return m.current.Load(), nil
	}
	if m.next == nil {
		m.opts.Log.Error("the mirror is damaged: a new copy is made beside it", "file", m.opts.File)
		if err := m.beginNext(); err != nil {
			return nil, err
		}
	}
	return m.next, nil
}

// begin begins a copy beside the one that answers.
func (f *follower) begin() error {
	f.m.writing.Lock()
	defer f.m.writing.Unlock()
	if err := f.m.beginNext(); err != nil {
		return err
	}
	f.anew, f.begun = true, time.Now()
	return nil
}

// errEmptied is a directory that has nothing although it had something. That
// is what one with a lost database looks like; believed, it would say of
// everybody that there is no certificate.
var errEmptied = errors.New("the directory is empty and was not before: the copy is kept (delete its file if that is meant)")

// dropNext gives up the copy in the making.
func (m *Mirror) dropNext() {
	if m.next != nil {
		m.next.close()
		m.next = nil
		m.tellNext()
	}
}

func (m *Mirror) beginNext() error {
	m.dropNext()
	if err := removeFiles(m.nextPath()); err != nil {
		return err
	}
	next, err := create(m.nextPath(), m.opts.Clock(), m.opts.opener)
	if err != nil {
		return err
	}
	m.next = next
	m.tellNext()
	return nil
}

// take applies a page, and exchanges the copies when the new one is complete.
func (f *follower) take(r *replica, page keydb.Page) error {
	m := f.m
	m.writing.Lock()
	defer m.writing.Unlock()
	wasComplete := r.complete
	if err := m.apply(r, page); err != nil {
		return err
	}
	f.anew = false
	if r == m.next && r.complete {
		if r.entries == 0 && m.current.Load().entries > 0 {
			m.dropNext()
			return errEmptied
		}
		if err := m.swap(); err != nil {
			return err
		}
	}
	m.tellNext()
	if r = m.current.Load(); r.complete && !wasComplete {
		m.opts.Log.Info("the mirror is complete", "file", m.opts.File, "addresses", r.entries, "sequence", r.seq)
	}
	return nil
}

func (f *follower) succeeded() {
	if f.m.State().Err != nil {
		f.m.opts.Log.Info("the mirror follows its directory again", "file", f.m.opts.File)
	}
	if time.Since(f.begun) > settled {
		f.failures = 0
	}
	f.m.tell(nil)
}

// failed says how long to rest after an error: twice as long each time, and not
// all mirrors of a directory at the same moment.
func (f *follower) failed(err error) time.Duration {
	if f.failures == 0 {
		f.m.opts.Log.Warn("the mirror cannot follow its directory; it will try again", "file", f.m.opts.File, "error", err)
	}
	f.m.tell(err)
	pause := lastBackoff
	if f.failures < 7 {
		pause = firstBackoff << f.failures
	}
	f.failures++
	pause = pause/2 + rand.N(pause/2)
	var p *keydb.Problem
	if errors.As(err, &p) {
		pause = min(max(pause, p.RetryAfter), time.Hour)
	}
	return pause
}
