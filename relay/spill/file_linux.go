package spill

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// createTemp opens a file that never has a name (open(2), O_TMPFILE): it is
// gone with the process, whatever ends it. O_EXCL keeps it from being given a
// name later.
func createTemp(dir string) (*os.File, error) {
	f, err := os.OpenFile(dir, os.O_RDWR|unix.O_TMPFILE|os.O_EXCL, 0o600)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EISDIR) {
		return createUnlinked(dir) // a file system that cannot do it
	}
	return f, err
}
