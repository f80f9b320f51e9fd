//go:build !unix

package main

import (
	"io/fs"
	"os"
)

// likeBefore gives a file the mode of the one that it replaces.
func likeBefore(name string, before fs.FileInfo) error { return os.Chmod(name, before.Mode().Perm()) }
