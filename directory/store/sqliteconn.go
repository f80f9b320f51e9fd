package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"strings"

	"modernc.org/sqlite"
)

// A sqliteConn is one connection with its prepared statements, used by one
// goroutine at a time. It goes past database/sql, whose pool and conversions
// take a third of the time of a short query. And it gives SQLite no context: the
// driver would start a goroutine for each statement to watch it, for statements
// that take microseconds.
type sqliteConn struct {
	conn   driver.Conn
	stmts  map[string]sqliteStmt
	values []driver.Value // the row being read
	args   []driver.NamedValue
}

// A sqliteStmt is what the driver's statements are.
type sqliteStmt interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

func openSQLiteConn(dsn string, pragmas ...string) (*sqliteConn, error) {
	conn, err := new(sqlite.Driver).Open(dsn)
	if err != nil {
		return nil, err
	}
	c := &sqliteConn{conn: conn, stmts: map[string]sqliteStmt{}}
	for _, p := range pragmas {
		if err := c.script("PRAGMA " + p); err != nil {
			return nil, errors.Join(err, c.close())
		}
	}
	return c, nil
}

func (c *sqliteConn) close() error {
	var errs []error
	for _, s := range c.stmts {
		errs = append(errs, s.Close())
	}
	return errors.Join(append(errs, c.conn.Close())...)
}

// script runs one or more statements that are needed once.
func (c *sqliteConn) script(text string) error {
	_, err := c.conn.(driver.ExecerContext).ExecContext(context.Background(), text, nil)
	return err
}

func (c *sqliteConn) prepare(query string) (sqliteStmt, error) {
	if s, ok := c.stmts[query]; ok {
		return s, nil
	}
	prepared, err := c.conn.Prepare(query)
	if err != nil {
		return nil, fmt.Errorf("%w, in %s", err, query)
	}
	s := prepared.(sqliteStmt)
	c.stmts[query] = s
	return s, nil
}

// named gives the arguments as the driver wants them, valid until the next call.
func (c *sqliteConn) named(args []any) []driver.NamedValue {
	c.args = c.args[:0]
	for i, v := range args {
		c.args = append(c.args, driver.NamedValue{Ordinal: i + 1, Value: v})
	}
	return c.args
}

func (c *sqliteConn) exec(_ context.Context, query string, args ...any) error {
	s, err := c.prepare(query)
	if err == nil {
		_, err = s.ExecContext(context.Background(), c.named(args))
	}
	return err
}

// execWith is exec for what may take long: it ends with the context.
func (c *sqliteConn) execWith(ctx context.Context, query string, args ...any) error {
	s, err := c.prepare(query)
	if err == nil {
		_, err = s.ExecContext(ctx, c.named(args))
	}
	return err
}

// begin waits for its turn among the processes that write.
func (c *sqliteConn) begin(ctx context.Context) error { return c.execWith(ctx, "BEGIN IMMEDIATE") }

// SQLite's primary result codes that mean something to us.
const (
	sqliteBusy = 5
	sqliteFull = 13
)

func hasCode(err error, primary int) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code()&0xff == primary
}

func (c *sqliteConn) execMany(ctx context.Context, query string, rows [][]any) error {
	s, err := c.prepare(query)
	if err != nil {
		return err
	}
	for i, args := range rows {
		if i%1000 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if _, err := s.ExecContext(context.Background(), c.named(args)); err != nil {
			return err
		}
	}
	return nil
}

func (c *sqliteConn) query(_ context.Context, each func(scan) error, query string, args ...any) error {
	s, err := c.prepare(query)
	if err != nil {
		return err
	}
	return c.run(s, each, c.named(args))
}

func (c *sqliteConn) run(s sqliteStmt, each func(scan) error, args []driver.NamedValue) error {
	rows, err := s.QueryContext(context.Background(), args)
	if err != nil {
		return err
	}
	n := len(rows.Columns())
	if cap(c.values) < n {
		c.values = make([]driver.Value, n)
	}
	values := c.values[:n]
	for err == nil {
		if err = rows.Next(values); err == nil {
			err = each(func(dest ...any) error { return scanValues(values, dest) })
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return errors.Join(err, rows.Close())
}

func (c *sqliteConn) perKey(ctx context.Context, each func(scan) error, query string, keys any) error {
	s, err := c.prepare(strings.Replace(query, "= ANY($1)", "= $1", 1))
	if err != nil {
		return err
	}
	arg := []driver.NamedValue{{Ordinal: 1}}
	all := 0
	one := func(key any) error {
		if all++; all%1000 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		arg[0].Value = key
		return c.run(s, each, arg)
	}
	switch keys := keys.(type) {
	case []string:
		return forEach(keys, one)
	case [][]byte:
		return forEach(keys, one)
	case []int64:
		return forEach(keys, one)
	}
	return fmt.Errorf("keys of type %T", keys)
}

func forEach[T any](keys []T, f func(any) error) error {
	for _, k := range keys {
		if err := f(k); err != nil {
			return err
		}
	}
	return nil
}

func (c *sqliteConn) insert(ctx context.Context, table string, columns []string, rows [][]any) error {
	return c.execMany(ctx, insertStatement(table, columns), rows)
}

// lock reads only: a writing transaction of SQLite is alone from its beginning.
func (c *sqliteConn) lock(ctx context.Context) (seq, certificates int64, err error) {
	err = one(ctx, c, "SELECT seq, certificates FROM meta", &seq, &certificates)
	return seq, certificates, err
}

// announce has nothing to do: others see the file change.
func (c *sqliteConn) announce(context.Context, uint64) error { return nil }

// scanValues copies what the driver gave; its strings and bytes are ours.
func scanValues(values []driver.Value, dest []any) error {
	if len(values) != len(dest) {
		return fmt.Errorf("%d columns for %d variables", len(values), len(dest))
	}
	for i, v := range values {
		ok := true
		switch d := dest[i].(type) {
		case *int64:
			*d, ok = v.(int64)
		case *string:
			*d, ok = v.(string)
		case *[]byte:
			*d, ok = v.([]byte)
			ok = ok || v == nil
		default:
			ok = false
		}
		if !ok {
			return fmt.Errorf("column %d holds %T, wanted %T", i+1, v, dest[i])
		}
	}
	return nil
}
