package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// channel is what writers notify and watchers listen to.
	channel = "sealpost_changes"
	// listenFor is how long a watcher trusts a silent connection before it asks
	// whether the server still lives, and whether it missed something.
	listenFor = 5 * time.Second
	// migrationLock keeps two processes from making the same tables (a number of
	// our own for pg_advisory_xact_lock).
	migrationLock = 0x5365616c706f7374
	// copyFrom is the number of rows from which COPY is faster than INSERT: it costs
	// a round trip more.
	copyFrom = 20
)

// postgresWords turns the schema into PostgreSQL's words. Addresses compare by
// their bytes, whatever language the database sorts in.
var postgresWords = strings.NewReplacer("INTEGER", "BIGINT", "BLOB", "BYTEA", "TEXT", `TEXT COLLATE "C"`, ") WITHOUT ROWID", ")")

// A postgresEngine is a pool of connections to a server.
type postgresEngine struct {
	pool    *pgxpool.Pool
	config  *pgx.ConnConfig // for the watcher
	timeout time.Duration
}

func openPostgres(ctx context.Context, opts Options) (*postgresEngine, error) {
	config, err := pgxpool.ParseConfig(opts.URL)
	if err != nil {
		return nil, err
	}
	c := config.ConnConfig
	if opts.Password != "" {
		c.Password = opts.Password
	}
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = opts.Timeout
	}
	c.RuntimeParams["search_path"] = "sealpost"
	// All our joins follow an index from a few keys. Before a new table has
	// statistics, the planner would rather read all of it.
	c.RuntimeParams["enable_hashjoin"] = "off"
	c.RuntimeParams["enable_mergejoin"] = "off"
	if c.RuntimeParams["application_name"] == "" {
		c.RuntimeParams["application_name"] = "sealpost"
	}
	// A node that stops in the middle of a transaction must not keep the others
	// from writing.
	c.RuntimeParams["idle_in_transaction_session_timeout"] = fmt.Sprint((3 * opts.Timeout).Milliseconds())
	if !strings.Contains(opts.URL, "pool_max_conns") {
		config.MaxConns = 16
	}
	// Mirrors have seen a number as soon as it is committed: a crash of the server
	// must not take it back.
	config.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'")
		return err
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	return &postgresEngine{pool: pool, config: c.Copy(), timeout: opts.Timeout}, nil
}

// read tries again when the connection turns out to be dead, as all of the pool
// are after the server was restarted.
func (e *postgresEngine) read(ctx context.Context, snapshot bool, f func(tx) error) error {
	err := e.readOnce(ctx, snapshot, f)
	if broken(ctx, err) {
		e.pool.Reset()
		err = e.readOnce(ctx, snapshot, f)
	}
	return err
}

func (e *postgresEngine) readOnce(ctx context.Context, snapshot bool, f func(tx) error) error {
	if !snapshot {
		return e.pool.AcquireFunc(ctx, func(c *pgxpool.Conn) error { return f(postgresTx{c}) })
	}
	return pgx.BeginTxFunc(ctx, e.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly},
		func(t pgx.Tx) error { return f(postgresTx{t}) })
}

// write begins again on another connection when the first one is dead. After
// that it fails: nobody knows whether a commit without an answer was made.
func (e *postgresEngine) write(ctx context.Context, f func(tx) error) error {
	t, err := e.pool.Begin(ctx)
	if broken(ctx, err) {
		e.pool.Reset()
		t, err = e.pool.Begin(ctx)
	}
	if err != nil {
		return err
	}
	if err := f(postgresTx{t}); err != nil {
		var refused *pgconn.PgError
		if errors.As(err, &refused) && refused.Code == "53100" { // disk_full
			err = fmt.Errorf("%w: %w", ErrFull, err)
		}
		// Without the context, which may be why f failed; a dead connection is closed.
		rollback, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = t.Rollback(rollback)
		return err
	}
	return t.Commit(ctx)
}

// broken reports an error of the connection, not of what was asked.
func broken(ctx context.Context, err error) bool {
	if err == nil || ctx.Err() != nil {
		return false
	}
	var refused *pgconn.PgError
	if errors.As(err, &refused) {
		return strings.HasPrefix(refused.Code, "57P0") || strings.HasPrefix(refused.Code, "08") // shut down; connection
	}
	var dial *pgconn.ConnectError
	return !errors.As(err, &dial) && (pgconn.SafeToRetry(err) || connectionLost(err))
}

func (e *postgresEngine) migrate(ctx context.Context) error {
	return e.write(ctx, func(t tx) error {
		if err := t.exec(ctx, "SELECT pg_advisory_xact_lock($1)", int64(migrationLock)); err != nil {
			return err
		}
		var schema, table int64
		if err := one(ctx, t, "SELECT (to_regnamespace('sealpost') IS NOT NULL)::int::bigint, (to_regclass('sealpost.meta') IS NOT NULL)::int::bigint",
			&schema, &table); err != nil {
			return err
		}
		if schema == 0 {
			if err := t.exec(ctx, "CREATE SCHEMA sealpost"); err != nil {
				return err
			}
		}
		script := func(text string) error {
			_, err := t.(postgresTx).Exec(ctx, postgresWords.Replace(text), pgx.QueryExecModeSimpleProtocol)
			return err
		}
		if err := applySchema(ctx, t, table == 0, script); err != nil {
			return err
		}
		// A dump that is restored makes the tables anew.
		var place string
		err := one(ctx, t, "SELECT (SELECT system_identifier FROM pg_control_system()) || '/' || (SELECT oid FROM pg_database WHERE datname = current_database()) || '/' || 'sealpost.meta'::regclass::oid", &place)
		if err != nil {
			return err
		}
		return settleEpoch(ctx, t, place)
	})
}

// watch listens. While the connection is away it looks by itself.
func (e *postgresEngine) watch(ctx context.Context, poke func(uint64)) {
	for ctx.Err() == nil {
		_ = e.listen(ctx, poke) // poke meets the same trouble, and tells
		poke(0)
		pause(ctx, time.Second)
	}
}

func (e *postgresEngine) listen(ctx context.Context, poke func(uint64)) error {
	conn, err := pgx.ConnectConfig(ctx, e.config)
	if err != nil {
		return err
	}
	defer func() {
		bye, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(bye)
	}()
	if err := within(ctx, e.timeout, func(ctx context.Context) error {
		_, err := conn.Exec(ctx, "LISTEN "+channel)
		return err
	}); err != nil {
		return err
	}
	poke(0) // what happened before
	for {
		var told *pgconn.Notification
		err := within(ctx, listenFor, func(ctx context.Context) (err error) {
			told, err = conn.WaitForNotification(ctx)
			return err
		})
		switch {
		case err == nil:
			poke(sequenceOf(told.Payload))
		case ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded):
			return err
		default:
			if err := within(ctx, e.timeout, conn.Ping); err != nil {
				return err
			}
			poke(0)
		}
	}
}

// sequenceOf reads a notification; 0 when it is not ours.
func sequenceOf(payload string) (seq uint64) {
	if _, err := fmt.Sscan(payload, &seq); err != nil {
		return 0
	}
	return seq
}

func within(ctx context.Context, d time.Duration, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	return f(ctx)
}

func (e *postgresEngine) size(ctx context.Context) (n int64, err error) {
	err = e.read(ctx, false, func(t tx) error {
		return one(ctx, t, "SELECT sum(pg_total_relation_size(oid))::bigint FROM pg_class WHERE relnamespace = 'sealpost'::regnamespace AND relkind = 'r'", &n)
	})
	return n, err
}

func (e *postgresEngine) close() error {
	e.pool.Close()
	return nil
}
