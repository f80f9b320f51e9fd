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

// FuzzParseCursor: what is read is written the same again.
func FuzzParseCursor(f *testing.F) {
	for _, seed := range []string{"e.1", "a.b.18446744073709551615", ".1", "e.01", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, err := keydb.ParseCursor(s)
		if err == nil && (c.String() != s || c.Epoch == "") || err != nil && !errors.Is(err, keydb.ErrCursor) {
			t.Errorf("%q: %+v, %v", s, c, err)
		}
	})
}
