//go:build !linux

package spill

import "os"

func createTemp(dir string) (*os.File, error) { return createUnlinked(dir) }
