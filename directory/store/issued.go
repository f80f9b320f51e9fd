package store

import (
	"context"
	"math/big"
	"time"
)

// A Revocation is a certificate of the directory's own authority that was
// revoked.
type Revocation struct {
	Serial   *big.Int
	At       time.Time
	NotAfter time.Time // of the certificate
	Why      string    // words, for operators
}

// Revocations gives the revoked certificates of OriginIssued that had not
// expired at since, in the order of their serial numbers.
func (s *Store) Revocations(ctx context.Context, since time.Time) ([]Revocation, error) {
	var list []Revocation
	err := s.read(ctx, false, func(ctx context.Context, t tx) (err error) {
		list, err = all(ctx, t, scanRevocation,
			"SELECT serial, at, not_after, why FROM revocation WHERE not_after >= $1 ORDER BY serial", since.Unix())
		return err
	})
	return list, err
}

// RevocationCount gives the number of all revocations, which only grows: who has
// read them knows by it whether there are more.
func (s *Store) RevocationCount(ctx context.Context) (n int64, err error) {
	err = s.read(ctx, false, func(ctx context.Context, t tx) error {
		return one(ctx, t, "SELECT count(*) FROM revocation", &n)
	})
	return n, err
}

// Issued tells about a serial number that the directory's own authority gave:
// nil when its certificate is not revoked. ErrNotFound: it gave no such number.
func (s *Store) Issued(ctx context.Context, serial *big.Int) (revoked *Revocation, err error) {
	known := false
	err = s.read(ctx, false, func(ctx context.Context, t tx) error {
		known, revoked = false, nil
		if err := t.query(ctx, func(row scan) error {
			var id int64
			known = true
			return row(&id)
		}, "SELECT certificate FROM issued WHERE serial = $1", serialOf(serial)); err != nil {
			return err
		}
		return t.query(ctx, func(row scan) error {
			r, err := scanRevocation(row)
			revoked = &r
			return err
		}, "SELECT serial, at, not_after, why FROM revocation WHERE serial = $1", serialOf(serial))
	})
	if err == nil && !known {
		err = ErrNotFound
	}
	return revoked, err
}

func scanRevocation(row scan) (r Revocation, err error) {
	var serial []byte
	var at, notAfter int64
	err = row(&serial, &at, &notAfter, &r.Why)
	r.Serial, r.At, r.NotAfter = new(big.Int).SetBytes(serial), moment(at), moment(notAfter)
	return r, err
}

// serialOf is a serial number in the database.
func serialOf(n *big.Int) []byte {
	if n == nil || n.Sign() == 0 {
		return []byte{0}
	}
	return n.Bytes()
}

// writeIssued keeps what CRL and OCSP need to know of the records of OriginIssued
// that are new, and of those that were revoked.
func (b *book) writeIssued(ctx context.Context) error {
	var fresh [][]any
	for _, r := range b.records {
		if r.Origin == OriginIssued && !r.stored && r.dirty {
			fresh = append(fresh, []any{serialOf(r.Cert.Serial), r.id})
		}
	}
	if err := b.tx.insert(ctx, "issued", []string{"serial", "certificate"}, fresh); err != nil {
		return err
	}
	for _, r := range b.revoked {
		err := b.tx.exec(ctx, insertStatement("revocation", []string{"serial", "at", "not_after", "why"}),
			serialOf(r.Cert.Serial), b.now.Unix(), r.Cert.NotAfter.Unix(), r.Why)
		if err == nil {
			err = audit(ctx, b.tx, b.now, Audit{Kind: AuditRevoked, Address: r.Addresses[0], Fingerprint: r.fingerprint, Detail: r.Why})
		}
		if err != nil {
			return err
		}
	}
	return nil
}
