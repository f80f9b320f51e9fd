package store

import (
	"context"
	"errors"
	"fmt"
)

// A sqliteLoad fills an empty file. If no other process has the file open, it
// does without the write-ahead log, through which every page would be written
// twice: for an empty file the rollback journal is empty too.
type sqliteLoad struct {
	engine    *sqliteEngine
	conn      *sqliteConn
	indexes   []string // the statements that make them
	seq, last int64
	rows      chan []*record // to the goroutine that writes; nil before it runs
	failed    chan error     // what came of it, when rows is closed
}

// beginLoad takes the writer's place; it gives nil when the file is not empty.
func (e *sqliteEngine) beginLoad(ctx context.Context) (*sqliteLoad, error) {
	c, err := e.takeWriter(ctx)
	if err != nil {
		return nil, err
	}
	l := &sqliteLoad{engine: e, conn: c}
	if err := l.begin(ctx); err != nil {
		return nil, l.end(err)
	}
	if l.last > 0 {
		return nil, l.end(nil)
	}
	return l, nil
}

func (l *sqliteLoad) begin(ctx context.Context) (err error) {
	var ids int64
	if err := one(ctx, l.conn, "SELECT certificates FROM meta", &ids); err != nil {
		return err
	}
	if ids == 0 {
		l.alone()
	}
	if err := l.conn.begin(ctx); err != nil {
		return err
	}
	l.seq, l.last, err = l.conn.lock(ctx)
	if err != nil || l.last > 0 {
		return err
	}
	return l.dropIndexes(ctx)
}

// alone leaves the write-ahead log, which works when our connections are the
// only ones; so our readers are closed, and come back when they are needed. If
// it does not work, the log is used.
func (l *sqliteLoad) alone() {
	for range cap(l.engine.readers) {
		select {
		case c := <-l.engine.readers:
			if c != nil {
				_ = c.close()
			}
			l.engine.readers <- nil
		default:
		}
	}
	_ = l.conn.script("PRAGMA busy_timeout = 0; PRAGMA journal_mode = DELETE")
	_ = l.conn.script(fmt.Sprintf("PRAGMA busy_timeout = %d; PRAGMA temp_store = FILE", l.engine.timeout.Milliseconds()))
}

func (l *sqliteLoad) dropIndexes(ctx context.Context) error {
	var names []string
	err := l.conn.query(ctx, func(row scan) error {
		var name, text string
		err := row(&name, &text)
		names, l.indexes = append(names, name), append(l.indexes, text)
		return err
	}, "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name IN ('certificate', 'mailbox') AND sql IS NOT NULL")
	for _, name := range names {
		if err == nil {
			err = l.conn.script("DROP INDEX " + name)
		}
	}
	if err == nil {
		err = l.conn.script("CREATE TEMP TABLE arrival (address TEXT, certificate INTEGER)")
	}
	return err
}

// add hands records to a goroutine, so that the next ones are read and hashed
// while these are written.
func (l *sqliteLoad) add(ctx context.Context, records []*record) error {
	if l.rows == nil {
		l.rows, l.failed = make(chan []*record), make(chan error, 1)
		go func() { l.failed <- l.writeAll(l.rows) }()
	}
	select {
	case l.rows <- records:
		return nil
	case err := <-l.failed:
		l.failed <- err // for commit
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *sqliteLoad) writeAll(batches <-chan []*record) error {
	for records := range batches {
		if err := l.write(records); err != nil {
			return err
		}
	}
	return nil
}

// finish waits for what was handed over.
func (l *sqliteLoad) finish() error {
	if l.rows == nil {
		return nil
	}
	close(l.rows)
	l.rows = nil
	return <-l.failed
}

// write appends: no row has to find its place.
func (l *sqliteLoad) write(records []*record) error {
	ctx := context.Background()
	rows := make([][]any, len(records))
	var links [][]any
	for i, r := range records {
		l.last++
		r.id = l.last
		for _, a := range r.Addresses {
			links = append(links, []any{a, r.id})
		}
		l.seq += int64(len(r.Addresses))
		r.Seq = uint64(l.seq)
		rows[i] = r.row()
	}
	if err := l.conn.insert(ctx, "certificate", columnNames, rows); err != nil {
		return err
	}
	return l.conn.insert(ctx, "arrival", linkColumns, links)
}

// commit sorts the addresses into their table, and makes the indexes.
func (l *sqliteLoad) commit(ctx context.Context) error {
	if err := l.finish(); err != nil {
		return l.end(err)
	}
	steps := append([]string{
		"INSERT INTO mailbox (address, certificate) SELECT address, certificate FROM arrival ORDER BY address, certificate",
		"DROP TABLE arrival",
	}, l.indexes...)
	for _, step := range steps {
		if ctx.Err() != nil {
			return l.end(ctx.Err())
		}
		if err := l.conn.script(step); err != nil {
			return l.end(err)
		}
	}
	if err := l.conn.exec(ctx, "UPDATE meta SET seq = $1, certificates = $2", l.seq, l.last); err != nil {
		return l.end(err)
	}
	return l.end(l.conn.exec(ctx, "COMMIT"))
}

// end gives the writer's place back, with the connection as it was; after an
// error nothing has happened.
func (l *sqliteLoad) end(err error) error {
	_ = l.finish()                                    // an error here has been told, or does not matter any more
	_ = l.conn.exec(context.Background(), "ROLLBACK") // an error when there is nothing to roll back
	if back := l.conn.script("PRAGMA temp_store = MEMORY; PRAGMA journal_mode = WAL; PRAGMA wal_checkpoint(TRUNCATE)"); back != nil {
		err = errors.Join(err, fmt.Errorf("back to the write-ahead log: %w", back))
	}
	l.engine.writer <- l.conn
	return err
}
