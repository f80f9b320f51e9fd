package mirror

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// acquire takes the mirror for this process. The kernel lets go of the lock
// when the process ends, however it ends; the file itself stays.
func acquire(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("mirror: %w", err)
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		holder, _ := io.ReadAll(io.LimitReader(f, 32))
		f.Close()
		return nil, fmt.Errorf("mirror: %w: process %s writes to it (%s)", ErrLocked, strings.TrimSpace(string(holder)), path)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("mirror: flock %s: %w", path, err)
	}
	// The pid is for people only; a full disk must not stop a start.
	if f.Truncate(0) == nil {
		fmt.Fprintf(f, "%d\n", os.Getpid())
	}
	return f, nil
}
