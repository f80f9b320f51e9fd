package store

import "context"

// An engine is one of the two databases. What is stored, and by which rules, is
// written once above it; an engine knows how to run it.
type engine interface {
	// read runs f. With snapshot all that f reads is from one moment; without, each
	// statement is. f may run twice when the connection broke.
	read(ctx context.Context, snapshot bool, f func(tx) error) error
	// write runs f in a transaction that no other writer, here or elsewhere, runs
	// beside. It is durable when write returns nil.
	write(ctx context.Context, f func(tx) error) error
	// migrate brings the schema to the newest version, and is safe to be called by
	// several processes at once.
	migrate(ctx context.Context) error
	// watch calls poke whenever another process has written up to a number, or, with
	// 0, may have written, until ctx ends.
	watch(ctx context.Context, poke func(seq uint64))
	// size is what the database takes on disk, in bytes.
	size(ctx context.Context) (int64, error)
	close() error
}

// A tx runs statements. Parameters are $1, $2 …; their types are int64, string
// and []byte.
type tx interface {
	exec(ctx context.Context, query string, args ...any) error
	// execMany runs one statement for each row of arguments.
	execMany(ctx context.Context, query string, rows [][]any) error
	// query calls each for every row of the result.
	query(ctx context.Context, each func(scan) error, query string, args ...any) error
	// perKey is query for a list of keys ([]string, [][]byte or []int64): the query
	// has the condition "= ANY($1)".
	perKey(ctx context.Context, each func(scan) error, query string, keys any) error
	// insert adds rows to a table in bulk.
	insert(ctx context.Context, table string, columns []string, rows [][]any) error
	// lock makes everybody else who locks wait until the transaction ends, and gives
	// the last numbers of changes and certificates.
	lock(ctx context.Context) (seq, certificates int64, err error)
	// announce tells the watchers of other processes, when the transaction commits.
	announce(ctx context.Context, seq uint64) error
}

// A scan copies the columns of a row: into *int64, *string, *[]byte. NULL is
// only for *[]byte.
type scan func(dest ...any) error
