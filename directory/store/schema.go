package store

import (
	"context"
	"crypto/rand"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"
)

// The schema, one file for each version, written in the words that both
// databases understand; see postgresWords for the few that differ. A file that
// was once released is never changed.
//
//go:embed schema/*.sql
var schemaFiles embed.FS

// schemaTexts gives the files in order; the first makes version 1.
func schemaTexts() ([]string, error) {
	names, err := fs.Glob(schemaFiles, "schema/*.sql")
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	var texts []string
	for _, name := range names {
		text, err := fs.ReadFile(schemaFiles, name)
		if err != nil {
			return nil, err
		}
		texts = append(texts, string(text))
	}
	return texts, nil
}

// applySchema brings an empty database, or one of an earlier version, to the
// newest. It runs inside of a transaction that no other process runs beside.
func applySchema(ctx context.Context, t tx, empty bool, script func(string) error) error {
	texts, err := schemaTexts()
	if err != nil {
		return err
	}
	version := int64(0)
	if !empty {
		if err := one(ctx, t, "SELECT version FROM meta", &version); err != nil {
			return err
		}
	}
	if version > int64(len(texts)) {
		return fmt.Errorf("%w: it has schema version %d, and this program knows up to %d", ErrNewer, version, len(texts))
	}
	for _, text := range texts[version:] {
		if err := script(text); err != nil {
			return err
		}
	}
	if empty {
		return t.exec(ctx, "INSERT INTO meta (one, version, epoch, origin, seq, certificates) VALUES (1, $1, $2, '', 0, 0)",
			int64(len(texts)), newEpoch())
	}
	if version == int64(len(texts)) {
		return nil
	}
	return t.exec(ctx, "UPDATE meta SET version = $1", int64(len(texts)))
}

// newEpoch names the history of a database, so that a mirror notices when it is
// another one.
func newEpoch() string {
	var b [8]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// settleEpoch gives a database that was restored from a backup another epoch. It
// tells so by its place, which it had not been in when it was last written.
func settleEpoch(ctx context.Context, t tx, place string) error {
	var before string
	if err := one(ctx, t, "SELECT origin FROM meta", &before); err != nil || before == place {
		return err
	}
	if before == "" { // new
		return t.exec(ctx, "UPDATE meta SET origin = $1", place)
	}
	epoch := newEpoch()
	if err := t.exec(ctx, "UPDATE meta SET origin = $1, epoch = $2", place, epoch); err != nil {
		return err
	}
	return audit(ctx, t, time.Now(), Audit{Kind: AuditRestored, Detail: "epoch " + epoch})
}

// insertStatement is INSERT for one row.
func insertStatement(table string, columns []string) string {
	holders := make([]string, len(columns))
	for i := range holders {
		holders[i] = fmt.Sprintf("$%d", i+1)
	}
	return "INSERT INTO " + table + " (" + strings.Join(columns, ", ") + ") VALUES (" + strings.Join(holders, ", ") + ")"
}

// one reads the columns of a single row.
func one(ctx context.Context, t tx, query string, dest ...any) error {
	found := false
	err := t.query(ctx, func(s scan) error { found = true; return s(dest...) }, query)
	if err == nil && !found {
		err = fmt.Errorf("no row for %s", query)
	}
	return err
}

// all reads every row of a result.
func all[T any](ctx context.Context, t tx, read func(scan) (T, error), query string, args ...any) ([]T, error) {
	var list []T
	err := t.query(ctx, func(row scan) error {
		v, err := read(row)
		list = append(list, v)
		return err
	}, query, args...)
	return list, err
}
