package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// private checks that only the owner has rights on a file or directory.
func private(path string, st fs.FileInfo) error {
	if !st.IsDir() && !st.Mode().IsRegular() {
		return fmt.Errorf("%w: %s is not a regular file", ErrPermission, path)
	}
	if perm := st.Mode().Perm(); perm&0o077 != 0 {
		want := "0600"
		if st.IsDir() {
			want = "0700"
		}
		return fmt.Errorf("%w: %s has mode %04o and is open to others; it must be %s", ErrPermission, path, perm, want)
	}
	return nil
}

// prepareDir makes the spool's directory, or checks the one that is there:
// only the user who runs the server may have rights on it.
func prepareDir(dir string) error {
	if dir == "" {
		return errors.New("spool: no directory given")
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("spool: %w", err)
	}
	st, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	if !st.IsDir() {
		return fmt.Errorf("spool: %s is not a directory", dir)
	}
	if err := private(dir, st); err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	// Files that root made would stop the server that runs as somebody else.
	if own, ok := st.Sys().(*syscall.Stat_t); ok && int(own.Uid) != os.Geteuid() {
		return fmt.Errorf("spool: %w: %s belongs to user %d, this process runs as %d", ErrPermission, dir, own.Uid, os.Geteuid())
	}
	return nil
}
