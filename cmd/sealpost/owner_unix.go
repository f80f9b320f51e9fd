//go:build unix

package main

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// likeBefore gives a file the owner and the mode of the one that it replaces.
func likeBefore(name string, before fs.FileInfo) error {
	err := os.Chmod(name, before.Mode().Perm())
	if s, ok := before.Sys().(*syscall.Stat_t); ok && int(s.Uid) != os.Getuid() || ok && int(s.Gid) != os.Getgid() {
		err = errors.Join(err, os.Chown(name, int(s.Uid), int(s.Gid)))
	}
	return err
}
