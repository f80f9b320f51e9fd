package spool

import (
	"errors"
	"fmt"
	"syscall"
)

// What callers tell apart with errors.Is.
var (
	// ErrFull: the limit, the disk or its reserve does not admit the message.
	ErrFull = errors.New("spool is full")
	// ErrTooLarge: metas or notes beyond what one record may hold.
	ErrTooLarge = errors.New("record is too large")
	// ErrNotFound: no such message or parcel (any more).
	ErrNotFound = errors.New("not in the spool")
	// ErrExists: a message with this id waits already.
	ErrExists = errors.New("already in the spool")
	// ErrDamaged: stored bytes are not what was written. A copy is in quarantine.
	ErrDamaged = errors.New("damaged in the spool")
	// ErrClosed: the store was closed.
	ErrClosed = errors.New("spool is closed")
	// ErrLocked: another process has the directory.
	ErrLocked = errors.New("spool is in use")
	// ErrKey: no key, or not the key the spool was made with.
	ErrKey = errors.New("spool key")
	// ErrVersion: the directory was written by a newer version.
	ErrVersion = errors.New("spool format is newer than this program")
	// ErrPermission: the directory or the key is open to others.
	ErrPermission = errors.New("wrong permissions")
)

// asFull makes "no space" of a file system an ErrFull and keeps the cause.
func asFull(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	return err
}
