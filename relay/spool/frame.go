package spool

import (
	"encoding/binary"
	"hash/crc32"
)

const (
	frameMagic  = 0x53504c31 // "SPL1"
	frameHeader = 48         // bytes of the clear header
	frameAlign  = 64         // frames start at multiples of this
)

// A frame is the unit of segments and journals: a clear header, a sealed
// payload bound to it, and in segments the parts and the body behind it.
//
//	 0  magic            uint32
//	 4  CRC-32C of the rest of the header
//	 8  number of the file
//	16  offset in the file
//	24  synced: all before this offset was durable when the frame was written
//	32  length of the whole frame, a multiple of 64
//	40  length of the sealed payload, uint32
//	44  zero, uint32
//
// All numbers are big-endian; where nothing is said, uint64 and in bytes.
type frame struct {
	number                 uint64
	offset, synced, length int64
	sealed                 int
}

func aligned(n int64) int64 { return (n + frameAlign - 1) &^ (frameAlign - 1) }

func headerSum(b []byte) uint32 {
	return crc32.Checksum(b[8:frameHeader], crc32.MakeTable(crc32.Castagnoli))
}

// put writes the header to the first bytes of b.
func (f frame) put(b []byte) {
	binary.BigEndian.PutUint32(b, frameMagic)
	binary.BigEndian.PutUint64(b[8:], f.number)
	binary.BigEndian.PutUint64(b[16:], uint64(f.offset))
	binary.BigEndian.PutUint64(b[24:], uint64(f.synced))
	binary.BigEndian.PutUint64(b[32:], uint64(f.length))
	binary.BigEndian.PutUint32(b[40:], uint32(f.sealed))
	binary.BigEndian.PutUint32(b[44:], 0)
	binary.BigEndian.PutUint32(b[4:], headerSum(b))
}

// parseFrame reads a header. What it gives is sound in itself; whether it is
// the spool's own only the sealed payload proves.
func parseFrame(b []byte) (frame, bool) {
	if len(b) < frameHeader || binary.BigEndian.Uint32(b) != frameMagic || binary.BigEndian.Uint32(b[4:]) != headerSum(b) {
		return frame{}, false
	}
	f := frame{
		number: binary.BigEndian.Uint64(b[8:]),
		offset: int64(binary.BigEndian.Uint64(b[16:])),
		synced: int64(binary.BigEndian.Uint64(b[24:])),
		length: int64(binary.BigEndian.Uint64(b[32:])),
		sealed: int(binary.BigEndian.Uint32(b[40:])),
	}
	sound := binary.BigEndian.Uint32(b[44:]) == 0 &&
		f.offset >= 0 && f.offset%frameAlign == 0 &&
		f.synced >= 0 && f.synced <= f.offset &&
		f.length%frameAlign == 0 && f.length >= frameHeader+int64(f.sealed) && f.sealed >= sealOverhead
	return f, sound
}

// head is the length of header and sealed payload.
func (f frame) head() int64 { return frameHeader + int64(f.sealed) }
