package revocation

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"math/big"
	"slices"
	"sort"
	"time"
)

// serials is a set of revoked serial numbers, each with its time and reason,
// in little more memory than the numbers themselves take: a list of a million
// is some thirty megabytes, where a million big.Ints would be hundreds.
type serials struct {
	numbers []byte   // one after the other, sorted
	ends    []uint32 // of each in numbers
	times   []uint32 // seconds since 1970
	reasons []uint8
}

const maxSerial = 64 // bytes; RFC 5280 section 4.1.2.2 allows 20

func (s *serials) len() int { return len(s.ends) }

func (s *serials) at(i int) []byte {
	if i == 0 {
		return s.numbers[:s.ends[0]]
	}
	return s.numbers[s.ends[i-1]:s.ends[i]]
}

// size is the memory it holds, in bytes.
func (s *serials) size() int64 {
	return int64(cap(s.numbers) + 4*cap(s.ends) + 4*cap(s.times) + cap(s.reasons))
}

// add takes the content of an INTEGER. sort must follow the last.
func (s *serials) add(number []byte, at time.Time, reason uint8) {
	s.numbers = append(s.numbers, canonical(number)...)
	s.ends = append(s.ends, uint32(len(s.numbers)))
	s.times = append(s.times, uint32(max(at.Unix(), 0)))
	s.reasons = append(s.reasons, reason)
}

// canonical drops padding that DER forbids and lists have.
func canonical(b []byte) []byte {
	for len(b) > 1 && (b[0] == 0 && b[1] < 0x80 || b[0] == 0xff && b[1] >= 0x80) {
		b = b[1:]
	}
	return b
}

// integer gives the content of the INTEGER, in its shortest form.
func integer(n *big.Int) []byte {
	if n.Sign() < 0 {
		m := new(big.Int).Add(n, new(big.Int).Lsh(big.NewInt(1), uint(n.BitLen()/8+1)*8))
		return canonical(m.Bytes())
	}
	return canonical(append([]byte{0}, n.Bytes()...))
}

// sort puts the numbers in order, with no more room than they need.
func (s *serials) sort() {
	type place struct {
		prefix uint64 // most comparisons need no more
		at     uint32
	}
	order := make([]place, s.len())
	for i := range order {
		var prefix [8]byte
		copy(prefix[:], s.at(i))
		order[i] = place{binary.BigEndian.Uint64(prefix[:]), uint32(i)}
	}
	slices.SortFunc(order, func(a, b place) int {
		if c := cmp.Compare(a.prefix, b.prefix); c != 0 {
			return c
		}
		return cmp.Or(bytes.Compare(s.at(int(a.at)), s.at(int(b.at))), cmp.Compare(a.at, b.at))
	})
	sorted := serials{
		numbers: make([]byte, 0, len(s.numbers)), ends: make([]uint32, 0, s.len()),
		times: make([]uint32, 0, s.len()), reasons: make([]uint8, 0, s.len()),
	}
	for _, p := range order {
		i := p.at
		sorted.numbers = append(sorted.numbers, s.at(int(i))...)
		sorted.ends = append(sorted.ends, uint32(len(sorted.numbers)))
		sorted.times = append(sorted.times, s.times[i])
		sorted.reasons = append(sorted.reasons, s.reasons[i])
	}
	*s = sorted
}

// find looks a number up.
func (s *serials) find(n *big.Int) (at time.Time, reason int, found bool) {
	want := integer(n)
	i := sort.Search(s.len(), func(i int) bool { return bytes.Compare(s.at(i), want) >= 0 })
	if i == s.len() || !bytes.Equal(s.at(i), want) {
		return at, 0, false
	}
	return time.Unix(int64(s.times[i]), 0).UTC(), int(s.reasons[i]), true
}

// within reports whether every number of s is in other.
func (s *serials) within(other *serials) bool {
	j := 0
	for i := range s.len() {
		n := s.at(i)
		for j < other.len() && bytes.Compare(other.at(j), n) < 0 {
			j++
		}
		if j == other.len() || !bytes.Equal(other.at(j), n) {
			return false
		}
	}
	return true
}
