package revocation

import (
	"math/big"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Whatever was put in is found, and nothing else is.
func TestSerialsFindWhatIsIn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s serials
		in := map[string]uint8{}
		for _, n := range rapid.SliceOfN(rapid.Int64(), 0, 50).Draw(t, "numbers") {
			code := rapid.Uint8Range(0, 10).Draw(t, "code")
			if _, twice := in[big.NewInt(n).String()]; twice {
				continue
			}
			in[big.NewInt(n).String()] = code
			padded := integer(big.NewInt(n))
			if n >= 0 && rapid.Bool().Draw(t, "padded") {
				padded = append([]byte{0}, padded...)
			}
			s.add(padded, time.Unix(n&0xffff, 0), code)
		}
		s.sort()
		for _, n := range append(rapid.SliceOf(rapid.Int64()).Draw(t, "others"), 0, -1, 127, 128, 255, 256) {
			code, is := in[big.NewInt(n).String()]
			at, got, found := s.find(big.NewInt(n))
			if found != is || found && (got != int(code) || at.Unix() != n&0xffff) {
				t.Fatalf("%d: found %v, in %v", n, found, is)
			}
		}
		var more serials
		for n := range in {
			i, _ := new(big.Int).SetString(n, 10)
			more.add(integer(i), time.Time{}, 0)
		}
		more.add([]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, time.Time{}, 0)
		more.sort()
		if !s.within(&more) || more.within(&s) {
			t.Fatal("within is wrong")
		}
	})
}

// A million numbers take the memory that they need, and little more.
func TestMillionSerials(t *testing.T) {
	var s serials
	rng := rand.New(rand.NewPCG(1, 2))
	number := make([]byte, 16)
	const n = 1_000_000
	for range n {
		for i := range number {
			number[i] = byte(rng.Uint32())
		}
		number[0] = number[0]&0x7f | 1
		s.add(number, time.Unix(1, 0), 1)
	}
	s.sort()
	if got := s.size(); s.len() != n || got > n*(16+9) {
		t.Errorf("%d numbers take %d bytes", s.len(), got)
	}
	if _, _, found := s.find(new(big.Int).SetBytes(number)); !found {
		t.Error("the last one is not found")
	}
}
