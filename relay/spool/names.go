package spool

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// SocketName is kept for the socket on which the process that has the spool
// can be asked about it. The spool itself leaves it alone.
const SocketName = "control.sock"

const (
	lockName      = "lock"
	formatName    = "spool.format"
	quarantineDir = "quarantine"
	spareName     = "journal-spare"
	newSuffix     = ".new" // a file that is being written; never trusted
)

func segmentName(n uint64) string { return fmt.Sprintf("segment-%010d", n) }
func freeName(n uint64) string    { return fmt.Sprintf("free-%010d", n) }
func journalName(n uint64) string { return fmt.Sprintf("journal-%010d", n) }
func bodyName(u uid) string       { return "body-" + hex.EncodeToString(u[:]) }

// listing is the spool's directory, sorted by what the files are.
type listing struct {
	segments, free, journals []uint64
	bodies                   map[uid]bool
	unfinished               []string // bodies and formats whose writing was cut off
	spare, format            bool
	foreign                  []string
}

// listDir reads the directory and leaves alone what is not the spool's.
func listDir(f FS) (listing, error) {
	l := listing{bodies: make(map[uid]bool)}
	names, err := f.List(".")
	if err != nil {
		return l, err
	}
	for _, name := range names {
		switch name {
		case lockName, quarantineDir + "/", SocketName + "/":
		case formatName:
			l.format = true
		case formatName + newSuffix:
			l.unfinished = append(l.unfinished, name)
		case spareName:
			l.spare = true
		default:
			l.sort(name)
		}
	}
	return l, nil
}

func (l *listing) sort(name string) {
	kind, rest, _ := strings.Cut(name, "-")
	if kind == "body" {
		hexed, unfinished := strings.CutSuffix(rest, newSuffix)
		raw, err := hex.DecodeString(hexed)
		switch {
		case err != nil || len(raw) != len(uid{}):
			l.foreign = append(l.foreign, name)
		case unfinished:
			l.unfinished = append(l.unfinished, name)
		default:
			l.bodies[uid(raw)] = true
		}
		return
	}
	n, err := strconv.ParseUint(rest, 10, 64)
	switch {
	case err == nil && name == segmentName(n):
		l.segments = append(l.segments, n)
	case err == nil && name == freeName(n):
		l.free = append(l.free, n)
	case err == nil && name == journalName(n):
		l.journals = append(l.journals, n)
	default:
		l.foreign = append(l.foreign, name)
	}
}
