package keydb_test

import (
	"errors"
	"testing"

	"sealpost/lookup/keydb"
)

func TestCursor(t *testing.T) {
	for _, c := range []keydb.Cursor{{Epoch: "e", Seq: 0}, {Epoch: "a.b", Seq: 18446744073709551615}} {
		if got, err := keydb.ParseCursor(c.String()); got != c || err != nil {
			t.Errorf("%v became %v, %v", c, got, err)
		}
	}
	for _, s := range []string{"", ".", "e", "e.", ".1", "e.-1", "e.+1", "e.01", "e.1 ", "e.18446744073709551616"} {
		if c, err := keydb.ParseCursor(s); !errors.Is(err, keydb.ErrCursor) {
			t.Errorf("%q: %v, %v", s, c, err)
		}
	}
}
