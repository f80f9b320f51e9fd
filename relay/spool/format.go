package spool

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"strings"
)

// formatVersion is the version of all files in the directory.
const formatVersion = 1

// formatText is spool.format: the version, the key, and a check line over
// both, so that damage is not taken for a newer version.
func formatText(version int, fingerprint string) string {
	text := fmt.Sprintf("sealpost-spool %d\nkey %s\n", version, fingerprint)
	return text + fmt.Sprintf("check %08x\n", crc32.ChecksumIEEE([]byte(text)))
}

// parseFormat is the reverse; it reads newer versions as well as long as they
// begin and end like this one.
func parseFormat(text string) (version int, fingerprint string, err error) {
	at := strings.LastIndex(strings.TrimSuffix(text, "\n"), "\n") + 1
	if fmt.Sprintf("check %08x\n", crc32.ChecksumIEEE([]byte(text[:at]))) != text[at:] {
		return 0, "", fmt.Errorf("%w: %s", ErrDamaged, formatName)
	}
	if _, err := fmt.Sscanf(text[:at], "sealpost-spool %d\nkey %s\n", &version, &fingerprint); err != nil {
		return 0, "", fmt.Errorf("%w: %s: %w", ErrDamaged, formatName, err)
	}
	return version, fingerprint, nil
}

func (s *Store) readFormat() (int, string, error) {
	f, err := s.fs.Open(formatName, os.O_RDONLY)
	if err != nil {
		return 0, "", err
	}
	defer f.Close()
	b := make([]byte, 4<<10)
	n, err := f.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, "", err
	}
	return parseFormat(string(b[:n]))
}

// checkFormat refuses a directory of a newer version or of another key; false
// when there is no format file that could tell.
func (s *Store) checkFormat(l listing) (bool, error) {
	version, fingerprint, err := 0, "", error(nil)
	if l.format {
		version, fingerprint, err = s.readFormat()
	}
	switch {
	case err != nil && !errors.Is(err, ErrDamaged):
		return false, err
	case err != nil:
		s.reportDamage("spool.format is damaged and is written again", "error", err)
		return false, s.needIdentity()
	case !l.format:
		return false, s.needIdentity()
	case version > formatVersion:
		return false, fmt.Errorf("%w: %s has format %d, this program knows %d", ErrVersion, s.opt.Dir, version, formatVersion)
	case s.opt.Identity == nil:
		return false, fmt.Errorf("%w: none given; %s was made with %s", ErrKey, s.opt.Dir, fingerprint)
	case fingerprint != s.opt.Identity.Fingerprint():
		return false, fmt.Errorf("%w: %s was made with %s, the key given is %s", ErrKey, s.opt.Dir, fingerprint, s.opt.Identity.Fingerprint())
	}
	return true, nil
}

func (s *Store) needIdentity() error {
	if s.opt.Identity == nil {
		return fmt.Errorf("%w: none given", ErrKey)
	}
	return nil
}

// writeFormat writes spool.format durably, before anything else is there.
func (s *Store) writeFormat() error {
	const name = formatName + newSuffix
	f, err := s.fs.Open(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return err
	}
	_, err = f.WriteAt([]byte(formatText(formatVersion, s.opt.Identity.Fingerprint())), 0)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := s.fs.Rename(name, formatName); err != nil {
		return err
	}
	return s.fs.SyncDir(".")
}

// provesKey looks at files whose format file does not say what key they
// need: taking them for damaged because the key is wrong would lose them all.
func (s *Store) provesKey(l listing) error {
	sound := false
	try := func(name string, number uint64, key sealer) bool {
		f, err := s.fs.Open(name, os.O_RDONLY)
		if err != nil {
			return false
		}
		defer f.Close()
		sc, err := newScanner(f, number, key, s.opt.SegmentSize)
		if err != nil {
			return false
		}
		_, _, ok := sc.frame(0)
		sound = sound || sc.begins(0)
		return ok
	}
	for _, n := range l.journals {
		if try(journalName(n), n, s.keys.journal) {
			return nil
		}
	}
	for _, n := range l.segments {
		if try(segmentName(n), n, s.keys.segment) {
			return nil
		}
	}
	if sound {
		return fmt.Errorf("%w: %s does not open what is in %s", ErrKey, s.opt.Identity.Fingerprint(), s.opt.Dir)
	}
	return nil
}
