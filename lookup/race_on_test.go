//go:build race

package lookup_test

// underRace: the race detector's own memory does not bear the accesses that
// random damage to a mapped file leads to; without it they are panics, and
// caught.
const underRace = true
