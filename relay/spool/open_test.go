package spool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSecondServerIsRefused(t *testing.T) {
	opt := small(t, nil)
	s := mustOpen(t, opt)
	_, err := Open(opt)
	if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) {
		t.Errorf("a second Open gives %v", err)
	}
	mustClose(t, s)
	mustClose(t, mustOpen(t, opt))
}

func TestNewerVersionIsRefused(t *testing.T) {
	opt := small(t, nil)
	mustClose(t, mustOpen(t, opt))
	path := filepath.Join(opt.Dir, formatName)
	if err := os.WriteFile(path, []byte(formatText(formatVersion+1, opt.Identity.Fingerprint())), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(opt); !errors.Is(err, ErrVersion) {
		t.Errorf("Open gives %v", err)
	}
}

func TestOpenDirectoriesAreRefused(t *testing.T) {
	opt := small(t, nil)
	for _, mode := range []os.FileMode{0o701, 0o710, 0o755, 0o770, 0o777} {
		os.Mkdir(opt.Dir, 0o700)
		if err := os.Chmod(opt.Dir, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(opt); !errors.Is(err, ErrPermission) || !strings.Contains(err.Error(), opt.Dir) {
			t.Errorf("mode %o: %v", mode, err)
		}
	}
	if os.Geteuid() == 0 {
		if err := errors.Join(os.Chmod(opt.Dir, 0o700), os.Chown(opt.Dir, 12345, -1)); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(opt); !errors.Is(err, ErrPermission) {
			t.Errorf("another user's directory: %v", err)
		}
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	opt.Dir = file
	if _, err := Open(opt); err == nil {
		t.Error("a file is taken for a directory")
	}
	opt.Dir = ""
	if _, err := Open(opt); err == nil {
		t.Error("no directory is taken for one")
	}
}

func TestWrongKeyIsRefused(t *testing.T) {
	opt := small(t, nil)
	s := mustOpen(t, opt)
	mustPut(t, s, message("a", 1))
	mustClose(t, s)
	right := opt.Identity
	refused := func(when string, named bool) {
		t.Helper()
		for _, key := range []*Key{nil, mustKey(t)} {
			opt.Identity = key
			_, err := Open(opt)
			if !errors.Is(err, ErrKey) {
				t.Errorf("%s: Open with %v gives %v", when, key, err)
			} else if named && !strings.Contains(err.Error(), right.Fingerprint()) {
				t.Errorf("%s: the error does not name the key: %v", when, err)
			}
		}
	}
	refused("format file", true)
	path := filepath.Join(opt.Dir, formatName)
	if err := os.WriteFile(path, []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	refused("damaged format file", false)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	refused("no format file", false)
	opt.Identity = right
	s = mustOpen(t, opt)
	if err := same(s, message("a", 1)); err != nil {
		t.Error(err)
	}
	mustClose(t, s)
	refused("format file written again", true)
}

func TestKeyFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "spool.key")
	k, err := GenerateKey(path)
	if err != nil {
		t.Fatal(err)
	}
	again, err := LoadKey(path)
	if err != nil || again.Fingerprint() != k.Fingerprint() {
		t.Fatalf("LoadKey: %v, %v", again, err)
	}
	if _, err := GenerateKey(path); !errors.Is(err, os.ErrExist) {
		t.Errorf("GenerateKey over a key: %v", err)
	}
	for _, mode := range []os.FileMode{0o640, 0o604, 0o620, 0o602, 0o644} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadKey(path); !errors.Is(err, ErrPermission) {
			t.Errorf("mode %o: %v", mode, err)
		}
	}
	if _, err := LoadKey(filepath.Join(t.TempDir(), "none")); !errors.Is(err, ErrKey) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing key file: %v", err)
	}
	for what, content := range map[string]string{
		"empty": "", "garbage": "AGE-SECRET-KEY-1GARBAGE\n", "two": mustKey(t).identity.String() + "\n" + mustKey(t).identity.String() + "\n",
	} {
		bad := filepath.Join(t.TempDir(), "bad")
		if err := os.WriteFile(bad, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadKey(bad); !errors.Is(err, ErrKey) || strings.Contains(err.Error(), "GARBAGE") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestJournalGone: without its journal a spool still has all messages.
func TestJournalGone(t *testing.T) {
	opt, m, l := filled(t, 20)
	for name := range m.files {
		if strings.HasPrefix(name, "journal-") {
			delete(m.files, name)
		}
	}
	s := mustOpen(t, opt)
	for _, e := range l.held {
		if err := same(s, e); err != nil {
			t.Error(err)
		}
	}
	if s.Stats().Damages == 0 {
		t.Error("the missing journal was not reported")
	}
	mustClose(t, s)
}
