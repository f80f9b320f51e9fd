//go:build !linux

package spool

// Allocate writes zeros: fallocate is not portable.
func (f diskFile) Allocate(size int64) error { return f.fillZero(size) }
