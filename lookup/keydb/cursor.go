package keydb

import (
	"strconv"
	"strings"
)

// A Cursor is a place in the feed. Clients take it as a text that means nothing
// to them.
type Cursor struct {
	Epoch string // of the database; one that was restored has another
	Seq   uint64 // of the last change before the place
}

// String is EPOCH.SEQ.
func (c Cursor) String() string { return c.Epoch + "." + strconv.FormatUint(c.Seq, 10) }

// ParseCursor reads what String has written; the error is ErrCursor.
func ParseCursor(s string) (Cursor, error) {
	i := strings.LastIndexByte(s, '.')
	if i < 1 {
		return Cursor{}, ErrCursor
	}
	seq, err := strconv.ParseUint(s[i+1:], 10, 64)
	c := Cursor{s[:i], seq}
	if err != nil || c.String() != s {
		return Cursor{}, ErrCursor
	}
	return c, nil
}
