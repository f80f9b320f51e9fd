package store

import (
	"bytes"
	"context"
	"time"
)

// ClaimKey records that the owner of the mailbox has taken his key home. It may
// be called again; the first time stands in Key.Claimed. Errors are those of
// KeyOf.
func (s *Store) ClaimKey(ctx context.Context, fingerprint [32]byte, actor, how string) error {
	return s.write(ctx, func(ctx context.Context, t tx) error {
		k, err := oneKey(ctx, t, fingerprint, false)
		if err != nil {
			return err
		}
		now := s.now()
		if err := t.exec(ctx, "UPDATE escrow SET claimed = $2 WHERE fingerprint = $1 AND claimed = 0", fingerprint[:], now.Unix()); err != nil {
			return err
		}
		return audit(ctx, t, now, Audit{Kind: AuditClaimed, Address: k.Address, Fingerprint: fingerprint, Actor: actor, Detail: how})
	})
}

// KeepKey says when a key is to be deleted; zero: never. Errors are those of
// KeyOf.
func (s *Store) KeepKey(ctx context.Context, fingerprint [32]byte, until time.Time) error {
	return s.write(ctx, func(ctx context.Context, t tx) error {
		if _, err := oneKey(ctx, t, fingerprint, false); err != nil {
			return err
		}
		return t.exec(ctx, "UPDATE escrow SET expires = $2 WHERE fingerprint = $1", fingerprint[:], seconds(until))
	})
}

// abandoned is why a certificate is revoked whose key was deleted before anybody
// had claimed it.
const abandoned = "its key was deleted before it was claimed: nobody could read what is sealed to it"

// DeleteKey deletes the wrapped key, for good. When nobody had claimed it, its
// certificate is revoked in the same moment: mail sealed to it would be lost.
// Errors are those of KeyOf.
func (s *Store) DeleteKey(ctx context.Context, fingerprint [32]byte, actor, why string) error {
	return s.update(ctx, func(ctx context.Context, b *book) error {
		k, err := oneKey(ctx, b.tx, fingerprint, false)
		if err != nil {
			return err
		}
		return b.deleteKey(ctx, k, actor, why)
	})
}

func (b *book) deleteKey(ctx context.Context, k Key, actor, why string) error {
	err := b.tx.exec(ctx, "UPDATE escrow SET wrapped = NULL, secret = '', deleted = $2 WHERE fingerprint = $1", k.Fingerprint[:], b.now.Unix())
	if err != nil {
		return err
	}
	err = audit(ctx, b.tx, b.now, Audit{Kind: AuditKeyDeleted, Address: k.Address, Fingerprint: k.Fingerprint, Actor: actor, Detail: why})
	if err != nil || !k.Claimed.IsZero() {
		return err
	}
	if err := b.loadFingerprints(ctx, [][]byte{stem(k.Fingerprint)}); err != nil {
		return err
	}
	if r := b.byFingerprint[k.Fingerprint]; r != nil && r.Status != StatusRevoked && r.Status != StatusExpired {
		b.set(r, StatusRevoked, abandoned)
	}
	return nil
}

// ExpireKeys deletes the keys whose time is over, and says how many. To be called
// now and then, by one node or all.
func (s *Store) ExpireKeys(ctx context.Context, actor string) (int, error) {
	total := 0
	for {
		due, err := s.dueKeys(ctx)
		if err != nil || len(due) == 0 {
			return total, err
		}
		deleted := 0
		err = s.update(ctx, func(ctx context.Context, b *book) error {
			deleted = 0
			list, err := dueKeysIn(ctx, b.tx, b.now) // another node may have been faster
			if err != nil {
				return err
			}
			for _, k := range list {
				if err := b.deleteKey(ctx, k, actor, "its time in escrow is over"); err != nil {
					return err
				}
				deleted++
			}
			return nil
		})
		if err != nil {
			return total, err
		}
		total += deleted
	}
}

// dueKeys looks without locking: mostly there is none.
func (s *Store) dueKeys(ctx context.Context) (list []Key, err error) {
	err = s.read(ctx, false, func(ctx context.Context, t tx) (err error) {
		list, err = dueKeysIn(ctx, t, s.now())
		return err
	})
	return list, err
}

func dueKeysIn(ctx context.Context, t tx, now time.Time) ([]Key, error) {
	return readKeys(ctx, t, false, " WHERE expires > 0 AND expires <= $1 AND deleted = 0 ORDER BY expires LIMIT $2", now.Unix(), int64(expireBatch/10))
}

// A Rewrapped is what Rewrap has done.
type Rewrapped struct {
	Keys   int
	Failed int // those that the function gave an error for; they stay as they were
}

// Rewrap has f wrap every key anew that is not wrapped by the keeper to, in
// batches, while the database is in use. That a key is read is recorded before f
// sees it. What another one changes meanwhile stays changed: a deleted key does
// not come back. The error is the first one of f, or trouble with the database;
// to call again is safe.
func (s *Store) Rewrap(ctx context.Context, to string, batch int, actor string, f func(context.Context, Key) (wrapped []byte, keeper string, err error)) (Rewrapped, error) {
	var done Rewrapped
	var failure error
	after := []byte{}
	for {
		list, err := s.keysToRewrap(ctx, to, after, batch, actor)
		if err != nil || len(list) == 0 {
			return done, orError(err, failure)
		}
		after = list[len(list)-1].Fingerprint[:]
		fresh := make([]Key, len(list))
		for i, k := range list {
			fresh[i] = k
			if fresh[i].Wrapped, fresh[i].Keeper, err = f(ctx, k); err != nil {
				fresh[i].Wrapped = nil
				done.Failed++
				failure = orError(failure, err)
			}
		}
		if err := s.putRewrapped(ctx, list, fresh); err != nil {
			return done, err
		}
		for _, k := range fresh {
			if k.Wrapped != nil {
				done.Keys++
			}
		}
	}
}

func orError(first, second error) error {
	if first != nil {
		return first
	}
	return second
}

func (s *Store) keysToRewrap(ctx context.Context, to string, after []byte, batch int, actor string) (list []Key, err error) {
	err = s.write(ctx, func(ctx context.Context, t tx) error {
		if list, err = readKeys(ctx, t, true, " WHERE keeper <> $1 AND deleted = 0 AND fingerprint > $2 ORDER BY fingerprint LIMIT $3",
			to, after, int64(max(batch, 1))); err != nil {
			return err
		}
		for _, k := range list {
			err := audit(ctx, t, s.now(), Audit{Kind: AuditKeyRewrapped, Address: k.Address, Fingerprint: k.Fingerprint, Actor: actor,
				Detail: "from " + k.Keeper + " to " + to})
			if err != nil {
				return err
			}
		}
		return nil
	})
	return list, err
}

func (s *Store) putRewrapped(ctx context.Context, old, fresh []Key) error {
	return s.write(ctx, func(ctx context.Context, t tx) error {
		for i := range fresh {
			if fresh[i].Wrapped == nil {
				continue
			}
			err := t.exec(ctx, "UPDATE escrow SET wrapped = $2, keeper = $3 WHERE fingerprint = $1 AND wrapped = $4",
				old[i].Fingerprint[:], fresh[i].Wrapped, fresh[i].Keeper, old[i].Wrapped)
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// WrapAnew puts another wrapping of a key in the place of old, unless somebody
// changed it meanwhile. Whoever made the key, and found that the master key was
// rotated while he stored it, sets that right by it.
func (s *Store) WrapAnew(ctx context.Context, fingerprint [32]byte, old, wrapped []byte, keeper, actor string) error {
	return s.write(ctx, func(ctx context.Context, t tx) error {
		k, err := oneKey(ctx, t, fingerprint, true)
		if err != nil || !bytes.Equal(k.Wrapped, old) {
			return err
		}
		if err := t.exec(ctx, "UPDATE escrow SET wrapped = $2, keeper = $3 WHERE fingerprint = $1", fingerprint[:], wrapped, keeper); err != nil {
			return err
		}
		return audit(ctx, t, s.now(), Audit{Kind: AuditKeyRewrapped, Address: k.Address, Fingerprint: fingerprint, Actor: actor,
			Detail: "from " + k.Keeper + " to " + keeper})
	})
}

// KeyCounts tell what is in escrow.
type KeyCounts struct {
	Keepers   map[string]int64 // keys that are there, by the master key that they are wrapped under
	Unclaimed int64            // of those that are there
	Claimed   int64            // of those that are there
	Deleted   int64
}

// CountKeys counts the keys in escrow.
func (s *Store) CountKeys(ctx context.Context) (KeyCounts, error) {
	var c KeyCounts
	err := s.read(ctx, true, func(ctx context.Context, t tx) error {
		c = KeyCounts{Keepers: map[string]int64{}}
		return t.query(ctx, func(row scan) error {
			var keeper string
			var total, claimed, deleted, both int64
			if err := row(&keeper, &total, &claimed, &deleted, &both); err != nil {
				return err
			}
			if total > deleted {
				c.Keepers[keeper] = total - deleted
			}
			c.Claimed += claimed - both
			c.Unclaimed += total - deleted - (claimed - both)
			c.Deleted += deleted
			return nil
		}, "SELECT keeper, count(*), count(NULLIF(claimed, 0)), count(NULLIF(deleted, 0)), count(NULLIF(claimed, 0) + NULLIF(deleted, 0)) FROM escrow GROUP BY keeper")
	})
	return c, err
}
