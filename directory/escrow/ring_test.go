package escrow

import (
	"slices"
	"testing"
	"time"
)

// What is read as a file of master keys is the same when it was written and read
// again.
func FuzzRing(f *testing.F) {
	good := formatRing([]Master{newMaster(time.Unix(1e9, 0)), newMaster(time.Unix(2e9, 0))})
	f.Add(good)
	f.Add(good[:len(good)-20])
	f.Add([]byte("# nothing\n"))
	f.Add([]byte(keyWord + " 0 today x\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		ring, err := parseRing(text)
		if err != nil {
			return
		}
		again, err := parseRing(formatRing(ring))
		if err != nil || !slices.EqualFunc(ring, again, func(a, b Master) bool { return a.ID == b.ID && a.key == b.key && a.Created.Equal(b.Created) }) {
			t.Errorf("%v is read again as %v: %v", ring, again, err)
		}
	})
}
