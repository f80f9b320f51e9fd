package spool

import (
	"os"
	"path/filepath"
)

// Exists reports whether the directory holds a spool already, which then can
// only be opened with the key it was made with.
func Exists(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, formatName))
	return err == nil
}
