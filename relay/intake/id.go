package intake

import (
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// idDigits sort as the values do.
const idDigits = "0123456789abcdefghjkmnpqrstvwxyz"

// An idSource gives connection ids: the time in microseconds, never the same
// twice, and two digits of the server's own, as several servers stand in one
// process.
type idSource struct {
	last atomic.Int64
	tail [2]byte
}

func newIDSource() *idSource {
	return &idSource{tail: [2]byte{idDigits[rand.IntN(len(idDigits))], idDigits[rand.IntN(len(idDigits))]}}
}

func (s *idSource) next() string {
	now := time.Now().UnixMicro()
	for {
		last := s.last.Load()
		id := max(now, last+1)
		if s.last.CompareAndSwap(last, id) {
			return s.format(uint64(id))
		}
	}
}

func (s *idSource) format(n uint64) string {
	var b [13]byte
	for i := 10; i >= 0; i-- {
		b[i] = idDigits[n&31]
		n >>= 5
	}
	b[11], b[12] = s.tail[0], s.tail[1]
	return string(b[:])
}
