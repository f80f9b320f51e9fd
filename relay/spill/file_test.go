package spill

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// What reaches the disk is looked at through the open file itself.
func TestFileIsEncryptedAndHasNoName(t *testing.T) {
	dir := t.TempDir()
	p := New(Options{Memory: 1, Dir: dir})
	a, b := filled(t, p, content(4*chunkSize+99), 5000), filled(t, p, content(4*chunkSize+99), 5000)
	for _, name := range []string{"empty directory", "after reading"} {
		if list, err := os.ReadDir(dir); err != nil || len(list) != 0 {
			t.Errorf("%s: %v, %v", name, list, err)
		}
		if _, err := io.Copy(io.Discard, newReader(t, a)); err != nil {
			t.Fatal(err)
		}
	}
	var onDisk [2][]byte
	for i, s := range []*Spill{a, b} {
		data := make([]byte, s.inFile)
		if _, err := s.file.ReadAt(data, 0); err != nil {
			t.Fatal(err)
		}
		if len(data) != 4*chunkSize || bytes.Contains(data, []byte("CANARY")) {
			t.Errorf("%d bytes on disk, canary among them: %v", len(data), bytes.Contains(data, []byte("CANARY")))
		}
		onDisk[i] = data
	}
	if bytes.Equal(onDisk[0][:64], onDisk[1][:64]) {
		t.Error("two messages were encrypted with one key stream")
	}
}

func TestUnlinkedFallback(t *testing.T) {
	dir := t.TempDir()
	f, err := createUnlinked(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if list, err := os.ReadDir(dir); err != nil || len(list) != 0 {
		t.Errorf("the file has a name: %v, %v", list, err)
	}
	if _, err := f.WriteString("x"); err != nil {
		t.Error(err)
	}
}

// broken replaces the file by one that fails in the way that is wanted.
func broken(t *testing.T, s *Spill, path string, flag int) {
	t.Helper()
	f, err := os.OpenFile(path, flag, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	s.file.Close()
	s.file = f
}

func TestDiskFull(t *testing.T) {
	p := New(Options{Memory: 1, Dir: t.TempDir()})
	s := filled(t, p, content(3*chunkSize), chunkSize)
	broken(t, s, "/dev/full", os.O_RDWR)
	_, err := s.Write(content(2 * chunkSize))
	var failed *Error
	if !errors.As(err, &failed) || failed.Op != "write" {
		t.Fatalf("Write to a full disk: %v", err)
	}
	if _, again := s.Write([]byte("x")); again != err {
		t.Errorf("Write after a failure: %v", again)
	}
	if _, again := s.Reader(); again != err {
		t.Errorf("Reader after a failure: %v", again)
	}
	s.Close()
	if got := p.Stats(); got != (Stats{}) {
		t.Errorf("left over: %+v", got)
	}
}

func TestNoDirectory(t *testing.T) {
	p := New(Options{Memory: 1, Dir: filepath.Join(t.TempDir(), "missing")})
	s := p.New()
	_, err := s.Write(content(2 * chunkSize))
	var failed *Error
	if !errors.As(err, &failed) || failed.Op != "create" || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Write without a directory: %v", err)
	}
	s.Close()
	if got := p.Stats(); got != (Stats{}) {
		t.Errorf("left over: %+v", got)
	}
}

func TestFileCutShort(t *testing.T) {
	s := filled(t, New(Options{Memory: 1, Dir: t.TempDir()}), content(3*chunkSize), chunkSize)
	if err := s.file.Truncate(chunkSize + 5); err != nil {
		t.Fatal(err)
	}
	var failed *Error
	for _, read := range []func() error{
		func() error { _, err := io.ReadAll(newReader(t, s)); return err },
		func() error { _, err := newReader(t, s).(io.WriterTo).WriteTo(io.Discard); return err },
	} {
		if err := read(); !errors.As(err, &failed) || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("a file that was cut reads as %v", err)
		}
	}
}
