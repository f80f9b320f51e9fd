//go:build !linux

package ca

// stepBack has nothing to do where threads have no priority of their own.
func stepBack() {}
