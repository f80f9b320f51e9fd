package spool

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"io"
	"os"
)

// writeBody writes a body to a file of its own. It is whole and durable, name
// included, before its record is committed: write, fsync, rename, fsync of
// the directory.
func (s *Store) writeBody(e *Entry, r *record) error {
	if err := s.roomFor(r.stored); err != nil {
		return err
	}
	name := bodyName(r.uid)
	if err := s.writeNew(name+newSuffix, e, r); err != nil {
		s.discard(name + newSuffix)
		return err
	}
	err := s.fs.Rename(name+newSuffix, name)
	if err == nil {
		err = s.fs.SyncDir(".")
	}
	if err != nil {
		s.discard(name, name+newSuffix)
	}
	return err
}

func (s *Store) writeNew(name string, e *Entry, r *record) error {
	f, err := s.fs.Open(name, os.O_RDWR|os.O_CREATE|os.O_EXCL)
	if err != nil {
		return err
	}
	defer f.Close()
	// The space is taken first: a full disk shows before the work is done.
	if err := f.Allocate(r.stored); err != nil {
		return err
	}
	sum := sha256.New()
	out := bufio.NewWriterSize(io.MultiWriter(&appender{f: f, limit: r.stored}, sum), 256<<10)
	if err := s.writeContent(out, e); err != nil {
		return err
	}
	if err := out.Flush(); err != nil {
		return err
	}
	sum.Sum(r.sum[:0])
	return f.Sync()
}

// appender writes to a file from its start, limit bytes at most.
type appender struct {
	f          File
	off, limit int64
}

func (a *appender) Write(p []byte) (int, error) {
	if a.off+int64(len(p)) > a.limit {
		return 0, errors.New("spool: body is longer than announced")
	}
	n, err := a.f.WriteAt(p, a.off)
	a.off += int64(n)
	return n, err
}

// discard removes files that no record names. What cannot be removed now goes
// at the next Open.
func (s *Store) discard(names ...string) {
	for _, name := range names {
		if err := s.fs.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
			s.log.Warn("spool: file stays behind until the next start", "file", name, "error", err)
		}
	}
}
