package claim

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"sealpost/directory/store"
	"sealpost/internal/address"
)

// How often the outbox looks: for notices whose time has come, and for what was
// left over when a node died. Mostly it is woken.
const (
	lookEvery  = 15 * time.Second
	sweepEvery = 10 * time.Minute
)

// sendTime is how long one attempt may take, and leaseTime how long a notice is
// left alone after it was begun: when its node has died, another one sends it.
const (
	sendTime  = 4 * time.Minute
	leaseTime = 10 * time.Minute
)

// batch is how many notices are looked at together, and senders how many are sent
// at once.
const (
	batch   = 100
	senders = 4
)

// pauses are the times between attempts; after the last one it is given up.
func pauses() []time.Duration {
	return []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour, 4 * time.Hour,
		8 * time.Hour, 12 * time.Hour, 24 * time.Hour, 24 * time.Hour}
}

// permanent is what the answers of mail servers are: those that are not temporary
// will be the same later, as long as nobody changes a setting.
type permanent interface{ Temporary() bool }

// run sends, until ctx ends.
func (e *Engine) run(ctx context.Context) {
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for ctx.Err() == nil {
		e.tell(ctx, e.SendDue(ctx))
		select {
		case <-ctx.Done():
		case <-e.poke:
		case <-look.C:
		}
	}
}

// listen stores what is to be sent, until ctx ends. It never waits for a mail
// server.
func (e *Engine) listen(ctx context.Context) {
	sweep := time.NewTicker(sweepEvery)
	defer sweep.Stop()
	e.tell(ctx, e.Sweep(ctx))
	for {
		select {
		case <-ctx.Done():
			return
		case <-sweep.C:
			e.tell(ctx, e.Sweep(ctx))
		case addr := <-e.wanted:
			e.tell(ctx, e.again(ctx, addr))
		}
	}
}

func (e *Engine) tell(ctx context.Context, err error) {
	if err != nil && ctx.Err() == nil {
		e.opts.Log.Warn("notices: the database gives trouble; it is tried again", "error", err)
	}
}

// Sweep stores the notices of keys that have none, because a node died after it
// had stored the key, and the reminders that are due; and forgets sessions that
// have ended.
func (e *Engine) Sweep(ctx context.Context) error {
	if err := e.opts.Store.SweepClaimSessions(ctx); err != nil {
		return err
	}
	if e.opts.Mailer == nil {
		return nil
	}
	for {
		keys, err := e.opts.Store.Unannounced(ctx, batch)
		if err != nil {
			return err
		}
		if len(keys) == 0 {
			return e.remind(ctx)
		}
		if err := e.announceAll(ctx, keys); err != nil {
			return err
		}
	}
}

// remind stores the reminders that are due, many at most: the next sweep goes on.
func (e *Engine) remind(ctx context.Context) error {
	if e.limits.Reminders < 0 {
		return nil
	}
	keys, err := e.opts.Store.Unreminded(ctx, e.opts.Clock().Add(-e.limits.Reminder), e.limits.Reminders, 10*batch)
	if err != nil {
		return err
	}
	return e.announceAll(ctx, keys)
}

func (e *Engine) announceAll(ctx context.Context, keys []store.Key) error {
	for _, k := range keys {
		if err := e.announce(ctx, k, Notice{}); err != nil {
			return err
		}
	}
	return nil
}

// SendDue sends the notices whose time has come. What a mail server does with
// them is no error here: it is stored, and tried again.
func (e *Engine) SendDue(ctx context.Context) error {
	if e.opts.Mailer == nil {
		return nil
	}
	for {
		due, err := e.opts.Store.DueNotices(ctx, batch)
		if err != nil || len(due) == 0 {
			return err
		}
		g, ctx := errgroup.WithContext(ctx)
		g.SetLimit(senders)
		for _, n := range due {
			g.Go(func() error { return e.send(ctx, n.ID) })
		}
		if err := g.Wait(); err != nil {
			return err
		}
	}
}

// send makes one attempt at one notice:
//
//  1. It is taken: the attempt is counted, and nobody else sends it for a while.
//     When the power fails from here on, it is sent again after that while: its
//     reader may get it twice, with the same code and the same Message-ID.
//  2. The mail server has it.
//  3. That is stored. When the power fails from here on, it is not sent again.
func (e *Engine) send(ctx context.Context, id string) error {
	n, err := e.opts.Store.TakeNotice(ctx, id, e.opts.Clock().Add(leaseTime))
	if errors.Is(err, store.ErrNoNotice) {
		return nil // another node was faster
	}
	if err != nil {
		return err
	}
	k, err := e.opts.Store.KeyOf(ctx, n.Fingerprint)
	switch {
	case errors.Is(err, store.ErrKeyDeleted), err == nil && !k.Claimed.IsZero() && n.Kind != store.NoticeAgain:
		return e.opts.Store.NoticeFailed(ctx, id, time.Time{}, "not needed any more")
	case err != nil:
		return err
	}
	if err := e.deliver(ctx, &n, k); err != nil {
		if ctx.Err() != nil { // we are stopping; the next one sends it
			return ctx.Err()
		}
		return e.failed(ctx, &n, err)
	}
	e.stats.sent.Add(1)
	e.opts.Log.Info("a notice was sent", "address", n.Address, "kind", n.Kind, "attempt", n.Attempts)
	return e.opts.Store.NoticeSent(ctx, id)
}

func (e *Engine) deliver(ctx context.Context, n *store.Notice, k store.Key) error {
	to, err := address.Parse(n.Address)
	if err != nil {
		return fmt.Errorf("the address of the notice: %w", err)
	}
	message, err := e.compose(n, k)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, sendTime)
	defer cancel()
	return e.opts.Mailer.Send(ctx, e.opts.From, to, message)
}

// failed stores when a notice is tried again. A refusal may be about our own
// settings more than about the mailbox: it is tried again too, but less often.
func (e *Engine) failed(ctx context.Context, n *store.Notice, why error) error {
	steps := pauses()
	step := n.Attempts - 1
	var refusal permanent
	if errors.As(why, &refusal) && !refusal.Temporary() {
		step += 4
	}
	var again time.Time
	if step < len(steps) {
		e.stats.retried.Add(1)
		again = e.opts.Clock().Add(steps[step])
		e.opts.Log.Warn("a notice could not be sent; it is tried again", "address", n.Address, "attempt", n.Attempts, "at", again, "error", why)
	} else {
		e.stats.givenUp.Add(1)
		e.opts.Log.Error("a notice could not be sent, and is given up: its reader does not know that there is a key for him", "address", n.Address, "attempts", n.Attempts, "error", why)
	}
	return e.opts.Store.NoticeFailed(ctx, n.ID, again, why.Error())
}
