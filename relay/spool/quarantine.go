package spool

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"
)

// damage is the note that lies beside bytes in quarantine.
type damage struct {
	Found  time.Time `json:"found"`
	File   string    `json:"file"`
	Offset int64     `json:"offset"`
	Length int64     `json:"length"`
	ID     string    `json:"id,omitempty"`
	Why    string    `json:"why"`
}

const noteSuffix = ".json"

// openQuarantine makes the folder and counts the notes in it.
func (s *Store) openQuarantine() error {
	if err := s.fs.Mkdir(quarantineDir); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	names, err := s.fs.List(quarantineDir)
	for _, name := range names {
		if strings.HasSuffix(name, noteSuffix) {
			s.quarantined++
		}
	}
	return err
}

// reportDamage tells the operator and the counters.
func (s *Store) reportDamage(text string, args ...any) {
	s.mu.Lock()
	s.damages++
	s.mu.Unlock()
	s.log.Error("spool: "+text, args...)
}

func (s *Store) report(err error) {
	if err != nil {
		s.reportDamage("quarantine failed", "error", err)
	}
}

// quarantine copies damaged bytes aside and reports them, once for each place:
// what is there already from an earlier start is only counted.
func (s *Store) quarantine(src File, d damage) error {
	name := fmt.Sprintf("%s/%s@%012d", quarantineDir, d.File, d.Offset)
	d.Found = s.opt.Now().UTC()
	s.mu.Lock()
	s.damages++
	s.mu.Unlock()
	args := []any{"file", d.File, "offset", d.Offset, "length", d.Length, "id", d.ID, "why", d.Why, "copy", name}
	err := s.copyAside(src, name, d)
	if errors.Is(err, fs.ErrExist) {
		s.log.Warn("spool: damaged bytes, already in quarantine", args...)
		return nil
	}
	if err != nil {
		s.log.Error("spool: damaged bytes, and they could not be copied to quarantine", append(args, "error", err)...)
		return err
	}
	s.mu.Lock()
	s.quarantined++
	s.mu.Unlock()
	s.log.Error("spool: damaged bytes are in quarantine", args...)
	return nil
}

// copyAside writes the copy first and the note last: a note stands for a
// whole copy.
func (s *Store) copyAside(src File, name string, d damage) error {
	if old, err := s.fs.Open(name+noteSuffix, os.O_RDONLY); err == nil {
		return errors.Join(fs.ErrExist, old.Close())
	}
	note, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return err
	}
	if err := s.writeAside(name, io.NewSectionReader(src, d.Offset, d.Length)); err != nil {
		return err
	}
	if err := s.writeAside(name+noteSuffix, strings.NewReader(string(note)+"\n")); err != nil {
		s.discard(name + noteSuffix)
		return err
	}
	return s.fs.SyncDir(quarantineDir)
}

func (s *Store) writeAside(name string, src io.Reader) error {
	f, err := s.fs.Open(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return err
	}
	_, err = io.Copy(&appender{f: f, limit: maxEnd}, src)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// quarantineBody moves a body that no record names any more.
func (s *Store) quarantineBody(u uid) error {
	name := bodyName(u)
	s.reportDamage("a body without a record goes to quarantine", "file", name)
	if err := s.fs.Rename(name, quarantineDir+"/"+name); err != nil {
		return err
	}
	return errors.Join(s.fs.SyncDir(quarantineDir), s.fs.SyncDir("."))
}
