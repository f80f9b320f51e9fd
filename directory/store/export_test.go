package store

import (
	"context"
	"errors"
)

// AddSlowly is Add that calls pause after everything was written, numbers
// included, and before it is committed.
func (s *Store) AddSlowly(ctx context.Context, list []New, pause func()) error {
	entries, err := s.entries(list)
	if err != nil {
		return err
	}
	return s.update(ctx, func(ctx context.Context, b *book) error {
		if err := b.loadFor(ctx, entries); err != nil {
			return err
		}
		for i := range entries {
			b.enter(&entries[i])
		}
		if err := b.writeDown(ctx); err != nil {
			return err
		}
		b.records, b.links = nil, nil
		pause()
		return nil
	})
}

// SetVersion claims that another version of the program wrote the database.
func (s *Store) SetVersion(ctx context.Context, version int) error {
	return s.write(ctx, func(ctx context.Context, t tx) error {
		return t.exec(ctx, "UPDATE meta SET version = $1", int64(version))
	})
}

// MakeForeign makes a file of SQLite that is not ours.
func MakeForeign(file string) error {
	c, err := openSQLiteConn(sqliteDSN(file))
	if err != nil {
		return err
	}
	return errors.Join(c.script("CREATE TABLE notes (text TEXT)"), c.close())
}

// Tamper runs a statement on the database as somebody would who can write to it.
func (s *Store) Tamper(ctx context.Context, statement string, args ...any) error {
	return s.write(ctx, func(ctx context.Context, t tx) error { return t.exec(ctx, statement, args...) })
}

// RecordAll appends records in one transaction, and fails at the end if it is told to.
func (s *Store) RecordAll(ctx context.Context, list []Audit, end error) error {
	return s.write(ctx, func(ctx context.Context, t tx) error {
		for _, a := range list {
			if err := audit(ctx, t, s.now(), a); err != nil {
				return err
			}
		}
		return end
	})
}
