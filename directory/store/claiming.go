package store

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Errors of claiming.
var (
	// ErrCode says that a code is wrong; it has been counted.
	ErrCode = errors.New("the code is not the one of the notice")
	// ErrUsedUp says that a notice allows no more attempts.
	ErrUsedUp = errors.New("the notice allows no more attempts")
	// ErrNoticeUsed says that a key was claimed with the notice before.
	ErrNoticeUsed = errors.New("the notice has been used")
	// ErrNoticeExpired says that it is too old.
	ErrNoticeExpired = errors.New("the notice has expired")
	// ErrNoSession says that there is none, or that it has ended.
	ErrNoSession = errors.New("there is no such session")
)

// A ClaimSession is a browser that has proven something. The secret in its cookie
// is not stored.
type ClaimSession struct {
	Hash     [32]byte // SHA-256 of the secret
	Notice   Notice   // with which it began; stored as its ID
	Complete bool     // nothing is left to be proven
	Proof    [32]byte // the caller's, over all that counts; see ClaimAttempt.Prove
	Created  time.Time
	Expires  time.Time
}

// A ClaimAttempt is somebody's word that he has a notice in hand.
type ClaimAttempt struct {
	Notice  string               // its ID; or
	Address string               // every notice to it, in the form of address.Address.Key
	Match   func(n *Notice) bool // whether the code is the one of n; takes the same time for each
	Most    int                  // wrong codes that one notice allows
	Session ClaimSession         // begins when there is a match; only Hash and Expires count
	// Prove gives the Proof of that session: who only writes to the database cannot
	// make one.
	Prove func(ClaimSession) [32]byte
	Actor string // for the audit log
}

// UseNotice checks an attempt. Either the notice is used from now on and the
// session has begun, or the attempt has been counted, and the log says so; both
// before UseNotice returns. So whoever tries many at once gets no more of them.
//
// The notice is the one that matched; or the one that was named, as it is now. The
// error is ErrCode, ErrUsedUp, ErrNoticeUsed, ErrNoticeExpired or ErrNoNotice.
// With an address it is ErrCode for all of them, and what is done for an address
// without a notice is the same as for one that has some.
func (s *Store) UseNotice(ctx context.Context, a ClaimAttempt) (Notice, error) {
	var n Notice
	var refused error
	err := s.write(ctx, func(ctx context.Context, t tx) (err error) {
		if _, _, err := t.lock(ctx); err != nil {
			return err
		}
		n, refused, err = s.tryNotice(ctx, t, &a)
		return err
	})
	if err != nil {
		return Notice{}, err
	}
	return n, refused
}

// tryNotice gives in refused what is wrong with an attempt, and in err what is
// wrong with the database.
func (s *Store) tryNotice(ctx context.Context, t tx, a *ClaimAttempt) (n Notice, refused, err error) {
	named := a.Notice != ""
	condition, arg := " WHERE address = $1 ORDER BY created DESC, id", a.Address
	if named {
		condition, arg = " WHERE id = $1", a.Notice
	}
	if !storable(arg) {
		return n, ErrNoNotice, nil
	}
	list, err := readNotices(ctx, t, condition, arg)
	if err != nil {
		return n, nil, err
	}
	now := s.now()
	refused = ErrNoNotice
	for i := range list {
		if refused = list[i].refuses(a, now); refused == nil {
			n = list[i]
			n.Used = now
			return n, nil, beginSession(ctx, t, a, &n, now)
		}
	}
	switch {
	case !named:
		return n, ErrCode, countGuess(ctx, t, a, now)
	case refused == ErrNoNotice:
		return n, refused, nil
	}
	n = list[0]
	if refused == ErrCode {
		n.Tries++
		err = t.exec(ctx, "UPDATE notice SET tries = tries + 1 WHERE id = $1", n.ID)
	}
	if err == nil {
		err = audit(ctx, t, now, Audit{Kind: AuditClaimRefused, Address: n.Address, Fingerprint: n.Fingerprint, Actor: a.Actor, Detail: refused.Error()})
	}
	return n, refused, err
}

// refuses says what is wrong with an attempt to use n; nil: nothing.
func (n *Notice) refuses(a *ClaimAttempt, now time.Time) error {
	right, wrong := a.Match(n), n.Guesses
	if a.Notice != "" {
		wrong = n.Tries
	}
	switch {
	case !n.Used.IsZero():
		return ErrNoticeUsed
	case !now.Before(n.Expires):
		return ErrNoticeExpired
	case wrong >= a.Most:
		return ErrUsedUp
	case !right:
		return ErrCode
	}
	return nil
}

// countGuess counts a wrong code that came with an address. Where there is no
// notice it changes no row, and costs what it costs with some.
func countGuess(ctx context.Context, t tx, a *ClaimAttempt, now time.Time) error {
	if err := t.exec(ctx, "UPDATE notice SET guesses = guesses + 1 WHERE address = $1 AND used = 0", a.Address); err != nil {
		return err
	}
	return audit(ctx, t, now, Audit{Kind: AuditClaimRefused, Address: a.Address, Actor: a.Actor, Detail: ErrCode.Error() + ", given with the address"})
}

// beginSession uses a notice up. Nothing is left to be proven where no second
// factor was agreed on.
func beginSession(ctx context.Context, t tx, a *ClaimAttempt, n *Notice, now time.Time) error {
	if err := t.exec(ctx, "UPDATE notice SET used = $2, due = 0 WHERE id = $1", n.ID, now.Unix()); err != nil {
		return err
	}
	k, err := oneKey(ctx, t, n.Fingerprint, false)
	if err != nil && !errors.Is(err, ErrKeyDeleted) {
		return err
	}
	a.Session.Notice, a.Session.Complete = *n, k.Secret == ""
	a.Session.Proof = a.Prove(a.Session)
	return insertSession(ctx, t, &a.Session, now)
}

func insertSession(ctx context.Context, t tx, c *ClaimSession, now time.Time) error {
	complete := int64(0)
	if c.Complete {
		complete = 1
	}
	return t.exec(ctx, insertStatement("claim_session", []string{"hash", "notice", "complete", "proof", "created", "expires"}),
		c.Hash[:], c.Notice.ID, complete, c.Proof[:], now.Unix(), seconds(c.Expires))
}

// ClaimSession gives the session of a secret, by its SHA-256, with its notice; or
// ErrNoSession.
func (s *Store) ClaimSession(ctx context.Context, hash [32]byte) (ClaimSession, error) {
	var c ClaimSession
	err := s.read(ctx, true, func(ctx context.Context, t tx) (err error) {
		c, err = oneSession(ctx, t, hash, s.now())
		return err
	})
	return c, err
}

func oneSession(ctx context.Context, t tx, hash [32]byte, now time.Time) (ClaimSession, error) {
	c, found := ClaimSession{Hash: hash}, false
	err := t.query(ctx, func(row scan) error {
		var complete, created, expires int64
		var proof []byte
		found = true
		err := row(&c.Notice.ID, &complete, &proof, &created, &expires)
		copy(c.Proof[:], proof)
		c.Complete, c.Created, c.Expires = complete == 1, moment(created), moment(expires)
		return err
	}, "SELECT notice, complete, proof, created, expires FROM claim_session WHERE hash = $1 AND expires > $2", hash[:], now.Unix())
	if err == nil && !found {
		err = ErrNoSession
	}
	if err != nil {
		return ClaimSession{}, err
	}
	c.Notice, err = oneNotice(ctx, t, c.Notice.ID)
	return c, err
}

// CountAnswer counts an answer to the second question before it is compared, so
// that nobody gets more of them by giving many at once. The error is ErrUsedUp
// when the notice, or all notices of the key together, allow no more, and
// ErrNoSession. left is how many will be left after this one.
func (s *Store) CountAnswer(ctx context.Context, session [32]byte, mostOfNotice, mostOfKey int) (left int, err error) {
	var refused error
	err = s.write(ctx, func(ctx context.Context, t tx) error {
		if _, _, err := t.lock(ctx); err != nil {
			return err
		}
		c, err := oneSession(ctx, t, session, s.now())
		if err != nil {
			return err
		}
		all, err := readNotices(ctx, t, " WHERE fingerprint = $1", c.Notice.Fingerprint[:])
		if err != nil {
			return err
		}
		given := 0
		for i := range all {
			given += all[i].Answers
		}
		left = min(mostOfNotice-c.Notice.Answers, mostOfKey-given) - 1
		if refused = nil; left < 0 {
			refused = ErrUsedUp
			return nil
		}
		return t.exec(ctx, "UPDATE notice SET answers = answers + 1 WHERE id = $1", c.Notice.ID)
	})
	if err == nil {
		err = refused
	}
	return max(left, 0), err
}

// RefuseAnswer records that an answer was wrong.
func (s *Store) RefuseAnswer(ctx context.Context, n Notice, actor string) error {
	return s.Record(ctx, Audit{Kind: AuditClaimRefused, Address: n.Address, Fingerprint: n.Fingerprint, Actor: actor, Detail: "the answer to the second question was wrong"})
}

// CompleteClaim has a session with another secret take the place of one that was
// not complete, so that who knew the first has nothing; ErrNoSession when it has
// ended, or another has taken its place.
func (s *Store) CompleteClaim(ctx context.Context, old [32]byte, fresh ClaimSession) error {
	return s.write(ctx, func(ctx context.Context, t tx) error {
		if _, _, err := t.lock(ctx); err != nil {
			return err
		}
		c, err := oneSession(ctx, t, old, s.now())
		if err != nil {
			return err
		}
		if err := t.exec(ctx, "DELETE FROM claim_session WHERE hash = $1", old[:]); err != nil {
			return err
		}
		// A right answer is no attempt.
		if err := t.exec(ctx, "UPDATE notice SET answers = answers - 1 WHERE id = $1 AND answers > 0", c.Notice.ID); err != nil {
			return err
		}
		fresh.Notice, fresh.Complete, fresh.Expires = c.Notice, true, c.Expires
		return insertSession(ctx, t, &fresh, s.now())
	})
}

// EndClaimSession forgets a session. That there is none is no error.
func (s *Store) EndClaimSession(ctx context.Context, hash [32]byte) error {
	return s.write(ctx, func(ctx context.Context, t tx) error {
		return t.exec(ctx, "DELETE FROM claim_session WHERE hash = $1", hash[:])
	})
}

// SweepClaimSessions forgets those that have ended by time.
func (s *Store) SweepClaimSessions(ctx context.Context) error {
	return s.write(ctx, func(ctx context.Context, t tx) error {
		return t.exec(ctx, "DELETE FROM claim_session WHERE expires <= $1", s.now().Unix())
	})
}

// ReplaceKey makes a certificate of his own, which the owner of a mailbox has
// given after he had proven that he is, the one that is used for it: also where
// new keys wait for an operator, who could say no more than the owner did. The
// one with the fingerprint ours is among those that are superseded. Errors:
// ErrRevoked, ErrExpired.
func (s *Store) ReplaceKey(ctx context.Context, n New, ours [32]byte, actor string) (Added, error) {
	n.Supersede = true
	entries, err := s.entries([]New{n})
	if err != nil {
		return Added{}, err
	}
	var added Added
	err = s.update(ctx, func(ctx context.Context, b *book) error {
		if err := b.loadFor(ctx, entries); err != nil {
			return err
		}
		added = b.enter(&entries[0])
		r := b.byFingerprint[added.Fingerprint]
		switch r.Status {
		case StatusRevoked:
			return ErrRevoked
		case StatusExpired:
			return ErrExpired
		}
		if err := b.accept(ctx, r, "its owner gave it in the place of "+fmt.Sprintf("%x", ours)); err != nil {
			return err
		}
		added.Status = r.Status
		return audit(ctx, b.tx, b.now, Audit{Kind: AuditReplaced, Address: entries[0].Addresses[0], Fingerprint: ours, Actor: actor,
			Detail: fmt.Sprintf("by %x", added.Fingerprint)})
	})
	return added, err
}
