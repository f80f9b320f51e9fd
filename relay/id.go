package relay

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"time"
)

// ids are written with digits and capital letters that are hard to confuse,
// in an alphabet whose order is that of the bytes: ids sort by time.
var idEncoding = base32.NewEncoding("0123456789ABCDEFGHJKMNPQRSTVWXYZ").WithPadding(base32.NoPadding)

// newID names one message in log, Received field and reply: 48 bits of
// milliseconds, 32 bits of chance.
func newID(now time.Time) string {
	var b [10]byte
	binary.BigEndian.PutUint64(b[:], uint64(now.UnixMilli())<<16)
	rand.Read(b[6:])
	return idEncoding.EncodeToString(b[:])
}
