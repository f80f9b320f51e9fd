package claim

import (
	"context"
	"crypto/hmac"
	"encoding/hex"
	"errors"
	"net/netip"
	"strings"

	"sealpost/directory/store"
	"sealpost/internal/address"
)

// Peek tells what a link is for, and changes nothing: mail is looked through by
// programs that follow every link. The error is ErrToken.
func (e *Engine) Peek(ctx context.Context, token string) (View, error) {
	id, err := e.readToken(token)
	if err != nil {
		return View{}, err
	}
	n, err := e.opts.Store.Notice(ctx, id)
	if errors.Is(err, store.ErrNoNotice) {
		return View{}, ErrToken
	}
	if err != nil {
		return View{}, err
	}
	return View{Masked: masked(n.Address), Expires: n.Expires, Language: n.Language,
		Valid: n.Open(e.opts.Clock()) && n.Tries < e.limits.Tries}, nil
}

// masked hides most of the local part: enough for its owner, and little for who
// found the link.
func masked(addr string) string {
	i := strings.LastIndexByte(addr, '@')
	if i < 1 {
		return "…"
	}
	local := []rune(addr[:i])
	if len(local) < 4 {
		return "…" + addr[i:]
	}
	return string(local[0]) + "…" + string(local[len(local)-1]) + addr[i:]
}

// Prove begins a session for whoever has a notice in hand: with its link and its
// code, or with the address and the code. The notice is used up by it.
//
// Errors: ErrNoCode, ErrAddress, ErrTooMany, a *CodeError; and with a link
// ErrToken, ErrUsed and ErrExpired too. Without one, nothing that is said or done
// depends on whether the address is known, or has a notice that can be used.
func (e *Engine) Prove(ctx context.Context, p Proof) (secret string, s Session, err error) {
	code := plainCode(p.Code)
	if code == "" {
		return "", Session{}, ErrNoCode
	}
	a := store.ClaimAttempt{
		Most: e.limits.Tries, Actor: "portal, " + clientName(p.Client),
		Match: func(n *store.Notice) bool { return e.isCode(n, code) },
		Prove: e.proof,
	}
	if p.Token != "" {
		if a.Notice, err = e.readToken(p.Token); err != nil {
			return "", Session{}, err
		}
	} else {
		addr, err := address.Parse(strings.TrimSpace(p.Address))
		if err != nil || addr.IsNull() {
			return "", Session{}, ErrAddress
		}
		a.Address = addr.Key()
	}
	if !e.limiter.client(p.Client) || a.Notice == "" && !e.limiter.mailbox(a.Address) {
		return "", Session{}, e.tooMany()
	}
	if secret, err = e.newSecret(); err != nil {
		return "", Session{}, err
	}
	a.Session = store.ClaimSession{Hash: hashOf(secret), Expires: e.opts.Clock().Add(e.limits.Session)}
	n, err := e.opts.Store.UseNotice(ctx, a)
	if err != nil {
		return "", Session{}, e.refused(a, n, err)
	}
	s, err = e.Session(ctx, secret)
	if err == nil {
		e.stats.proven.Add(1)
		e.opts.Log.Info("somebody has shown that he reads a mailbox", "address", s.Address, "session", s.ID)
	}
	return secret, s, err
}

func (e *Engine) refused(a store.ClaimAttempt, n store.Notice, err error) error {
	switch {
	case errors.Is(err, store.ErrCode):
		left := -1
		if a.Notice != "" {
			left = max(e.limits.Tries-n.Tries, 0)
		}
		e.stats.wrongCodes.Add(1)
		e.opts.Log.Warn("a wrong code was given", "address", a.Address, "notice", a.Notice, "by", a.Actor)
		return &CodeError{Left: left}
	case errors.Is(err, store.ErrUsedUp):
		return e.tooMany()
	case errors.Is(err, store.ErrNoticeUsed):
		return ErrUsed
	case errors.Is(err, store.ErrNoticeExpired):
		return ErrExpired
	case errors.Is(err, store.ErrNoNotice):
		return ErrToken
	}
	return err
}

func clientName(a netip.Addr) string {
	if !a.IsValid() {
		return "client unknown"
	}
	return "client " + a.Unmap().WithZone("").String()
}

// Session gives the session of a secret, as it is now. The error is ErrSession.
func (e *Engine) Session(ctx context.Context, secret string) (Session, error) {
	s, _, _, err := e.session(ctx, secret)
	return s, err
}

func (e *Engine) session(ctx context.Context, secret string) (Session, store.ClaimSession, store.Key, error) {
	const longest = 100 // ours have 43
	if secret == "" || len(secret) > longest {
		return Session{}, store.ClaimSession{}, store.Key{}, ErrSession
	}
	hash := hashOf(secret)
	c, err := e.opts.Store.ClaimSession(ctx, hash)
	if errors.Is(err, store.ErrNoSession) {
		err = ErrSession
	}
	if err != nil {
		return Session{}, c, store.Key{}, err
	}
	k, err := e.opts.Store.KeyOf(ctx, c.Notice.Fingerprint)
	there := err == nil
	if err != nil && !errors.Is(err, store.ErrKeyDeleted) {
		return Session{}, c, k, err
	}
	if proof := e.proof(c); !hmac.Equal(proof[:], c.Proof[:]) || k.Address != c.Notice.Address {
		e.opts.Log.Error("a session in the database is not as the portal wrote it, and opens nothing: find out who writes there", "address", c.Notice.Address)
		return Session{}, c, store.Key{}, ErrSession
	}
	again := hashOf(hex.EncodeToString(hash[:])) // what logs tell leads neither to the row nor to the secret
	return Session{
		ID: hex.EncodeToString(again[:8]), Address: c.Notice.Address, Fingerprint: c.Notice.Fingerprint,
		NeedsSecret: !c.Complete, KeyThere: there, Claimed: k.Claimed, Deleting: k.Expires,
		Expires: c.Expires, CSRF: e.csrf(secret), Language: c.Notice.Language,
	}, c, k, nil
}

// complete gives a session that has nothing left to prove. The error is
// ErrSession.
func (e *Engine) complete(ctx context.Context, secret string) (Session, error) {
	s, err := e.Session(ctx, secret)
	if err == nil && s.NeedsSecret {
		err = ErrSession
	}
	return s, err
}

// Second proves the second factor. The secret of the session changes, so that
// whoever had planted or seen the first has nothing. Errors: ErrSession,
// ErrNoCode, ErrTooMany, and a *SecondFactorError.
func (e *Engine) Second(ctx context.Context, secret, answer string, client netip.Addr) (string, Session, error) {
	s, c, k, err := e.session(ctx, secret)
	if err != nil {
		return "", Session{}, err
	}
	const longest = 1000 // bytes
	switch {
	case !s.NeedsSecret || !s.KeyThere: // the hash goes with the key
		return "", Session{}, ErrSession
	case strings.TrimSpace(answer) == "":
		return "", Session{}, ErrNoCode
	case len(answer) > longest, !e.limiter.client(client):
		return "", Session{}, e.tooMany()
	}
	left, err := e.opts.Store.CountAnswer(ctx, c.Hash, e.limits.Answers, e.limits.AllAnswers)
	if errors.Is(err, store.ErrUsedUp) {
		return "", Session{}, e.tooMany()
	}
	if err != nil {
		return "", Session{}, orSession(err)
	}
	right := false
	if err := e.atOnce(ctx, func() { right = e.opts.CheckSecret(k.Secret, answer) }); err != nil {
		return "", Session{}, err
	}
	if !right {
		actor := "portal, " + clientName(client)
		e.stats.wrongAnswers.Add(1)
		e.opts.Log.Warn("a wrong answer to the second question was given", "address", s.Address, "session", s.ID, "by", actor)
		if err := e.opts.Store.RefuseAnswer(ctx, c.Notice, actor); err != nil {
			return "", Session{}, err
		}
		return "", Session{}, &SecondFactorError{Left: left}
	}
	fresh, err := e.newSecret()
	if err != nil {
		return "", Session{}, err
	}
	next := store.ClaimSession{Hash: hashOf(fresh), Notice: c.Notice, Complete: true}
	next.Proof = e.proof(next)
	if err := e.opts.Store.CompleteClaim(ctx, c.Hash, next); err != nil {
		return "", Session{}, orSession(err)
	}
	s, err = e.Session(ctx, fresh)
	return fresh, s, err
}

func orSession(err error) error {
	if errors.Is(err, store.ErrNoSession) {
		return ErrSession
	}
	return err
}

// End ends a session. That there is none is no error.
func (e *Engine) End(ctx context.Context, secret string) error {
	return e.opts.Store.EndClaimSession(ctx, hashOf(secret))
}
