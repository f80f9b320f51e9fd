package spool

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestDiskFullTmpfs does what TestDiskFull does on a real file system.
func TestDiskFullTmpfs(t *testing.T) {
	opt := small(t, nil)
	if err := os.Mkdir(opt.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", opt.Dir, "tmpfs", 0, "size=1m,mode=0700"); err != nil {
		t.Logf("no tmpfs can be mounted here (%v): TestDiskFull stands for it", err)
		return
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(opt.Dir, 0); err != nil {
			t.Error(err)
		}
	})
	filler := filepath.Join(opt.Dir, "filler")
	fill := func() {
		if err := os.WriteFile(filler, make([]byte, 2<<20), 0o600); err == nil {
			t.Error("the disk was not full")
		}
	}
	free := func() {
		if err := os.Remove(filler); err != nil {
			t.Error(err)
		}
	}
	diskFull(t, opt, fill, free)
}
