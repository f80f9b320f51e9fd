package claim

import (
	"context"
	"net/netip"
	"strings"
	"time"

	"sealpost/directory/store"
	"sealpost/internal/address"
)

// againAfter is how long after a notice another one is sent to the same mailbox
// at the earliest, whoever asks for it.
const againAfter = 5 * time.Minute

// Notify says that somebody wants to write to an address whose key is in escrow
// and was not claimed. The first time that is a notice; later a reminder, if the
// last letter is long enough ago and there were not too many (Sweep sends those
// too: who has a certificate is looked up, and not asked for again). It does not wait
// for the network. A notice that is stored is sent, whatever happens to this
// process; and a key whose notice was not stored is found after a restart.
func (e *Engine) Notify(ctx context.Context, n Notice) error {
	addr, err := address.Parse(n.Address)
	if err != nil {
		return ErrAddress
	}
	k, ok, err := e.newest(ctx, addr)
	if err != nil || !ok || !k.Claimed.IsZero() {
		return err
	}
	return e.announce(ctx, k, n)
}

// announce stores the notice of a key that was not claimed, or a reminder.
func (e *Engine) announce(ctx context.Context, k store.Key, n Notice) error {
	kind := store.NoticeFirst
	if e.opts.Mailer == nil {
		return nil
	}
	stored, err := e.store(ctx, k, n, func(before []store.Notice) (store.NoticeKind, bool) {
		if len(before) == 0 {
			return kind, true
		}
		reminders := 0
		for _, b := range before {
			if b.Kind == store.NoticeReminder {
				reminders++
			}
			if !b.Used.IsZero() {
				return "", false // he knows, and may be one who reads in his browser
			}
		}
		last := before[len(before)-1]
		kind = store.NoticeReminder
		return kind, last.Due.IsZero() && reminders < e.limits.Reminders && e.opts.Clock().Sub(last.Created) >= e.limits.Reminder
	})
	if stored {
		e.opts.Log.Info("a notice will be sent", "address", k.Address, "kind", kind)
	}
	return err
}

// newest gives the key of an address that is in escrow; ok is false when there is
// none.
func (e *Engine) newest(ctx context.Context, addr address.Address) (k store.Key, ok bool, err error) {
	keys, err := e.opts.Store.KeysOf(ctx, addr.Key())
	if err != nil {
		return k, false, err
	}
	for _, k := range keys {
		if k.Deleted.IsZero() {
			return k, true, nil
		}
	}
	return k, false, nil
}

// store stores a notice of the kind that want gives, if it wants one.
func (e *Engine) store(ctx context.Context, k store.Key, n Notice, want func([]store.Notice) (store.NoticeKind, bool)) (bool, error) {
	id, err := e.newID()
	if err != nil {
		return false, err
	}
	if len(n.References) == 0 {
		n.References = k.References
	}
	if n.Language == "" {
		n.Language = k.Language
	}
	if n.Sender == "" {
		n.Sender = k.Sender
	}
	notice := store.Notice{ID: id, Fingerprint: k.Fingerprint, Address: k.Address, References: n.References, Language: n.Language,
		Sender: n.Sender, Expires: e.opts.Clock().Add(e.limits.Notice)}
	stored, err := e.opts.Store.AddNotice(ctx, &notice, func(before []store.Notice) (wanted bool) {
		notice.Kind, wanted = want(before)
		return wanted
	})
	if stored {
		e.wake()
	}
	return stored, err
}

// wake has the outbox look now.
func (e *Engine) wake() {
	select {
	case e.poke <- struct{}{}:
	default: // it will look anyway
	}
}

// Resend sends another notice to an address, if a key of it is in escrow. It only
// takes note of the wish: whether the address is known is looked into later, so
// that neither the answer nor its time tells. Errors: ErrAddress, ErrTooMany.
func (e *Engine) Resend(_ context.Context, addr string, client netip.Addr) error {
	a, err := address.Parse(strings.TrimSpace(addr))
	if err != nil || a.IsNull() {
		return ErrAddress
	}
	if !e.limiter.client(client) || !e.limiter.resend(a.Key()) {
		return e.tooMany()
	}
	select {
	case e.wanted <- a:
		return nil
	default:
		return e.tooMany()
	}
}

// again stores the notice that somebody wished for.
func (e *Engine) again(ctx context.Context, addr address.Address) error {
	k, ok, err := e.newest(ctx, addr)
	if err != nil || !ok || e.opts.Mailer == nil {
		return err
	}
	_, err = e.store(ctx, k, Notice{}, func(before []store.Notice) (store.NoticeKind, bool) {
		now, today := e.opts.Clock(), 0
		for _, b := range before {
			if !b.Due.IsZero() || now.Sub(b.Created) < againAfter {
				return "", false // one is on its way, or has just been sent
			}
			if b.Kind == store.NoticeAgain && now.Sub(b.Created) < 24*time.Hour {
				today++
			}
		}
		return store.NoticeAgain, today < e.limits.Resend
	})
	return err
}
