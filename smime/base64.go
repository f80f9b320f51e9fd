package smime

import (
	"encoding/base64"
	"encoding/binary"
	"sync"
)

// Lines of base64 text as RFC 2045 section 6.8 wants them.
const (
	lineBytes = 57 // make
	lineChars = 76 // and with CRLF
	lineText  = lineChars + 2
)

// textSize is the size of n bytes as base64 text in lines.
func textSize(n int64) int64 {
	chars := (n + 2) / 3 * 4
	return chars + (chars+lineChars-1)/lineChars*2
}

// pairs maps 12 bits to two characters of base64. With it encoding is two and
// a half times as fast as with encoding/base64, which takes 6 bits at a time;
// at 20 recipients encoding would otherwise cost more than encrypting.
var pairs = sync.OnceValue(func() *[1 << 12]uint16 {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	var t [1 << 12]uint16
	for i := range t {
		t[i] = uint16(alphabet[i>>6]) | uint16(alphabet[i&63])<<8
	}
	return &t
})

// encode writes the base64 of src, a multiple of three bytes, to dst.
func encode(dst, src []byte, pairs *[1 << 12]uint16) {
	for len(src) >= 8 && len(dst) >= 8 {
		v := binary.BigEndian.Uint64(src) // of which six bytes count
		binary.LittleEndian.PutUint64(dst, uint64(pairs[v>>52])|
			uint64(pairs[v>>40&0xfff])<<16|
			uint64(pairs[v>>28&0xfff])<<32|
			uint64(pairs[v>>16&0xfff])<<48)
		src, dst = src[6:], dst[8:]
	}
	for len(src) >= 3 {
		v := uint32(src[0])<<16 | uint32(src[1])<<8 | uint32(src[2])
		binary.LittleEndian.PutUint32(dst, uint32(pairs[v>>12])|uint32(pairs[v&0xfff])<<16)
		src, dst = src[3:], dst[4:]
	}
}

// appendBase64 is encode for any length, with padding.
func appendBase64(dst, src []byte) []byte { return base64.StdEncoding.AppendEncode(dst, src) }
