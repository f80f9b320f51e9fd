package spill

import (
	"errors"
	"os"
	"syscall"
	"testing"
)

// A real file system that fills up, where the test may mount one.
func TestRealDiskFull(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("LEFT OUT: mounting a small tmpfs needs root; TestDiskFull covers the path with /dev/full")
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=256k"); err != nil {
		t.Skipf("LEFT OUT: no mount here: %v; TestDiskFull covers the path with /dev/full", err)
	}
	defer syscall.Unmount(dir, 0)
	p := New(Options{Memory: 1, Dir: dir})
	s := p.New()
	_, err := s.Write(content(1 << 20))
	var failed *Error
	if !errors.As(err, &failed) || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Write to a full file system: %v", err)
	}
	s.Close()

	// The room is there again at once: the file had no name.
	if again := filled(t, p, content(3*chunkSize), chunkSize); again.Size() != 3*chunkSize {
		t.Error("no room after Close")
	} else {
		again.Close()
	}
}
