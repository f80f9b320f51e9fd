//go:build !race

package lookup_test

const underRace = false
