package store

import (
	"context"
	"fmt"
)

// SetStatus is an operator's word on one certificate: StatusRevoked,
// StatusHeld, StatusSuperseded, or StatusActive, which accepts one that was held
// or superseded and takes the place of others at its addresses as if it had just
// been seen. why explains it to other operators.
//
// Errors: ErrNotFound; ErrRevoked, for what is revoked stays so; ErrExpired, when
// one past its time is to be active; ErrStatus.
func (s *Store) SetStatus(ctx context.Context, fingerprint [32]byte, status Status, why string) error {
	switch status {
	case StatusActive, StatusHeld, StatusSuperseded, StatusRevoked:
	default:
		return fmt.Errorf("%w: %s", ErrStatus, status)
	}
	return s.update(ctx, func(ctx context.Context, b *book) error {
		if err := b.loadFingerprints(ctx, [][]byte{stem(fingerprint)}); err != nil {
			return err
		}
		r := b.byFingerprint[fingerprint]
		switch {
		case r == nil:
			return ErrNotFound
		case r.Status == StatusRevoked && status != StatusRevoked:
			return ErrRevoked
		case status == StatusActive && b.now.After(r.Cert.NotAfter):
			return fmt.Errorf("%w on %s", ErrExpired, r.Cert.NotAfter.Format("2006-01-02"))
		case status != StatusActive:
			b.set(r, status, clean(why))
			return nil
		}
		return b.accept(ctx, r, clean(why))
	})
}

// accept makes r active, in the place of the other keys that it covers.
func (b *book) accept(ctx context.Context, r *record, why string) error {
	if r.Status == StatusActive {
		return nil
	}
	if err := b.loadAddresses(ctx, r.Addresses); err != nil {
		return err
	}
	others, same := b.rivals(r)
	b.set(r, StatusActive, why)
	b.supersede(r, append(others, same...))
	return nil
}

// expireBatch is how many certificates one transaction of Expire moves.
const expireBatch = 1000

const expiredQuery = "SELECT fingerprint FROM certificate WHERE status = $1 AND not_after < $2 LIMIT $3"

// Expire gives the status expired to all whose time has passed, so that mirrors
// drop them, and says how many. To be called now and then; Lookup does not depend
// on it, and only one of several nodes needs to.
func (s *Store) Expire(ctx context.Context) (int, error) {
	total := 0
	for _, status := range []Status{StatusActive, StatusHeld, StatusSuperseded} {
		for more := true; more; {
			found, moved, err := s.expire(ctx, status)
			total += moved
			if err != nil {
				return total, err
			}
			more = found == expireBatch
		}
	}
	return total, nil
}

// expire moves one batch. It looks first without locking: mostly there is none.
func (s *Store) expire(ctx context.Context, status Status) (found, moved int, err error) {
	var fingerprints [][]byte
	err = s.read(ctx, false, func(ctx context.Context, t tx) error {
		fingerprints = nil
		return t.query(ctx, func(row scan) error {
			var f []byte
			err := row(&f)
			fingerprints = append(fingerprints, f)
			return err
		}, expiredQuery, number(statuses[:], status), s.now().Unix(), int64(expireBatch))
	})
	if err != nil || len(fingerprints) == 0 {
		return 0, 0, err
	}
	err = s.update(ctx, func(ctx context.Context, b *book) error {
		if err := b.loadFingerprints(ctx, fingerprints); err != nil {
			return err
		}
		moved = 0
		for _, r := range b.records {
			if r.Status == status { // unless another node was faster
				b.set(r, StatusExpired, r.Why)
				moved++
			}
		}
		return nil
	})
	if err != nil {
		moved = 0
	}
	return len(fingerprints), moved, err
}
