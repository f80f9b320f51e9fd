package store

import (
	"context"
	"errors"
	"io"
	"net"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// A postgresRunner is a connection of the pool, or a transaction on one.
type postgresRunner interface {
	Exec(ctx context.Context, query string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, query string, args ...any) (pgx.Rows, error)
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
	CopyFrom(ctx context.Context, table pgx.Identifier, columns []string, rows pgx.CopyFromSource) (int64, error)
}

// A postgresTx runs our statements on one.
type postgresTx struct{ postgresRunner }

func (t postgresTx) exec(ctx context.Context, query string, args ...any) error {
	_, err := t.Exec(ctx, query, args...)
	return err
}

// execMany sends statements without waiting for the answer of each.
func (t postgresTx) execMany(ctx context.Context, query string, rows [][]any) error {
	const most = 1000 // statements on their way
	for len(rows) > 0 {
		n := min(len(rows), most)
		var batch pgx.Batch
		for _, args := range rows[:n] {
			batch.Queue(query, args...)
		}
		if err := t.SendBatch(ctx, &batch).Close(); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

func (t postgresTx) query(ctx context.Context, each func(scan) error, query string, args ...any) error {
	rows, err := t.Query(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := each(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (t postgresTx) perKey(ctx context.Context, each func(scan) error, query string, keys any) error {
	return t.query(ctx, each, query, keys)
}

func (t postgresTx) insert(ctx context.Context, table string, columns []string, rows [][]any) error {
	if len(rows) < copyFrom {
		return t.execMany(ctx, insertStatement(table, columns), rows)
	}
	_, err := t.CopyFrom(ctx, pgx.Identifier{table}, columns, pgx.CopyFromRows(rows))
	return err
}

func (t postgresTx) lock(ctx context.Context) (seq, certificates int64, err error) {
	err = one(ctx, t, "SELECT seq, certificates FROM meta FOR UPDATE", &seq, &certificates)
	return seq, certificates, err
}

func (t postgresTx) announce(ctx context.Context, seq uint64) error {
	return t.exec(ctx, "SELECT pg_notify('"+channel+"', $1)", strconv.FormatUint(seq, 10))
}

// connectionLost reports that the other side is gone.
func connectionLost(err error) bool {
	var network net.Error
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || errors.As(err, &network)
}
