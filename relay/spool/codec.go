package spool

import (
	"encoding/binary"
	"math"
	"time"
)

// stamp is a time on disk: nanoseconds of Unix time, 0 for no time. What lies
// before 1678 or after 2262 becomes the nearest that can be written.
func stamp(t time.Time) int64 {
	switch {
	case t.IsZero():
		return 0
	case t.After(time.Unix(0, math.MaxInt64)):
		return math.MaxInt64
	case t.Before(time.Unix(0, math.MinInt64)):
		return math.MinInt64
	}
	return t.UnixNano()
}

// moment is the reverse of stamp, in UTC.
func moment(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}

func appendBytes(b, v []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(v))), v...)
}

// A decoder reads what was appended. After the first thing that does not fit
// it gives zero values only; bad tells.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) fail() {
	d.b, d.bad = nil, true
}

func (d *decoder) uint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) int() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

// size reads a length that must be below limit.
func (d *decoder) size(limit int64) int64 {
	v := d.uint()
	if v > uint64(limit) {
		d.fail()
		return 0
	}
	return int64(v)
}

func (d *decoder) fixed(n int64) []byte {
	if n > int64(len(d.b)) {
		d.fail()
		return nil
	}
	v := d.b[:n:n]
	d.b = d.b[n:]
	return v
}

func (d *decoder) bytes() []byte { return d.fixed(d.size(int64(len(d.b)))) }

func (d *decoder) byte() byte {
	if v := d.fixed(1); v != nil {
		return v[0]
	}
	return 0
}

func (d *decoder) uid() (u uid) {
	copy(u[:], d.fixed(int64(len(u))))
	return u
}

func (d *decoder) time() time.Time { return moment(d.int()) }
