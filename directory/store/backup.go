package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// ErrServer says that a database on a server is backed up and restored with its
// own programs.
var ErrServer = errors.New("this database is on a PostgreSQL server: use pg_dump and pg_restore")

// ErrInUse says that another process has the database open.
var ErrInUse = errors.New("another process uses the database: stop it first")

// placeBackup is what meta.origin holds in a backup. Whichever way such a file
// becomes the database again, it is opened with another epoch: mirrors have seen
// changes that it does not know.
const placeBackup = "backup"

// Backup writes a consistent copy of a database in a file to another file, which
// must not exist, while the database is in use. It is there, whole and durable,
// or not at all. For PostgreSQL the error is ErrServer.
func (s *Store) Backup(ctx context.Context, file string) error {
	e, ok := s.engine.(*sqliteEngine)
	if !ok {
		return ErrServer
	}
	if s.done.Err() != nil {
		return ErrClosed
	}
	return newFile(file, func(temporary string) error { return e.copyTo(ctx, temporary) })
}

// newFile has make write a temporary file, which then gets its name.
func newFile(file string, write func(temporary string) error) (err error) {
	if _, err := os.Lstat(file); !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%s: %w", file, errors.Join(os.ErrExist, err))
	}
	return replaceFile(file, write)
}

func replaceFile(file string, write func(temporary string) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+".") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, f.Close())
		if err != nil {
			os.Remove(f.Name())
			os.Remove(f.Name() + "-journal")
		}
	}()
	if err := write(f.Name()); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), file); err != nil {
		return err
	}
	return syncDir(filepath.Dir(file))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// copyTo writes the database, packed, to an empty file, and marks it as a backup.
func (e *sqliteEngine) copyTo(ctx context.Context, file string) error {
	// A connection of its own: it reads for as long as it takes, and is interrupted
	// when the context ends.
	c, err := e.open()
	if err != nil {
		return err
	}
	err = c.execWith(ctx, "VACUUM INTO $1", file)
	if err = errors.Join(err, c.close()); err != nil {
		return err
	}
	copied, err := openSQLiteConn(sqliteDSN(file), "synchronous = FULL")
	if err != nil {
		return err
	}
	return errors.Join(copied.exec(ctx, "UPDATE meta SET origin = $1", placeBackup), copied.close())
}

// Restore puts a backup in the place of the database at url ("sqlite:FILE"),
// which need not exist, and must not be in use (ErrInUse). A backup that is
// damaged (ErrDamaged), of another program (ErrForeign) or of a newer version
// (ErrNewer) changes nothing. What was there before is gone. The epoch is another
// one: every mirror fetches all of it anew.
func Restore(ctx context.Context, backup, url string) error {
	file, ok := strings.CutPrefix(url, "sqlite:")
	if !ok {
		return ErrServer
	}
	if err := checkBackup(ctx, backup); err != nil {
		return fmt.Errorf("%s: %w", backup, err)
	}
	if err := emptyLog(file); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return replaceFile(file, func(temporary string) error {
		from, err := os.Open(backup)
		if err != nil {
			return err
		}
		defer from.Close()
		to, err := os.OpenFile(temporary, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		_, err = io.Copy(to, from)
		return errors.Join(err, to.Close())
	})
}

// ErrDamaged says that a backup is not whole.
var ErrDamaged = errors.New("the file is damaged, or is no backup")

// checkBackup reads all of a backup, and changes nothing.
func checkBackup(ctx context.Context, file string) error {
	if _, err := os.Stat(file); err != nil {
		return err
	}
	c, err := openSQLiteConn(sqliteDSN(file)+"&mode=ro&immutable=1", "query_only = 1")
	if err != nil {
		return err
	}
	return errors.Join(checkContent(ctx, c), c.close())
}

func checkContent(ctx context.Context, c *sqliteConn) error {
	var application, version int64
	if err := one(ctx, c, "PRAGMA application_id", &application); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if application != applicationID {
		return ErrForeign
	}
	var problems []string
	err := c.query(ctx, func(row scan) error {
		var text string
		err := row(&text)
		problems = append(problems, text)
		return err
	}, "PRAGMA integrity_check(1)")
	if err != nil || len(problems) != 1 || problems[0] != "ok" {
		return errors.Join(fmt.Errorf("%w: %s", ErrDamaged, strings.Join(problems, ", ")), err)
	}
	var place string
	if err := one(ctx, c, "SELECT version, origin FROM meta", &version, &place); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	texts, err := schemaTexts()
	if err == nil && version > int64(len(texts)) {
		err = ErrNewer
	}
	if err == nil && place != placeBackup {
		err = fmt.Errorf("%w: it is a database, not a backup of one", ErrDamaged)
	}
	if err == nil {
		err = checkFingerprints(ctx, c)
	}
	return err
}

// checkFingerprints finds what SQLite's own check cannot: its pages have no
// checksum, and most of their bytes are certificates.
func checkFingerprints(ctx context.Context, c *sqliteConn) error {
	return c.query(ctx, func(row scan) error {
		var id int64
		var want, der []byte
		if err := row(&id, &want, &der); err != nil {
			return err
		}
		if !bytes.Equal(stem(sha256.Sum256(der)), want) {
			return fmt.Errorf("%w: certificate %d", ErrDamaged, id)
		}
		return ctx.Err()
	}, "SELECT id, fingerprint, der FROM certificate")
}

// emptyLog makes sure that nobody has the database open, and that no write-ahead
// log is left behind that would be applied to another file.
func emptyLog(file string) error {
	if _, err := os.Stat(file); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	c, err := openSQLiteConn(sqliteDSN(file), "busy_timeout = 100")
	if err != nil {
		return err
	}
	// Leaving the log behind needs the file for oneself.
	err = c.script("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = DELETE; BEGIN EXCLUSIVE; COMMIT")
	if hasCode(err, sqliteBusy) {
		err = ErrInUse
	}
	if err = errors.Join(err, c.close()); err != nil {
		return err
	}
	for _, suffix := range []string{"-wal", "-shm"} {
		if _, err := os.Stat(file + suffix); err == nil {
			return ErrInUse
		}
	}
	return nil
}
