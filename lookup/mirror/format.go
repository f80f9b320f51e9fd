package mirror

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"
)

// The layout of FILE, all numbers little-endian:
//
//	header   magic[16] version[4] 0[4] id[16] created[8] 0[12] crc[4]
//	batch    head records
//	head     magic[4] entries[4] records[4] cursor[2] flags[1] 0[1]
//	         offset[8] seq[8] directory[8] contact[8] cursor… table… crc[4]
//	table    hash[16] length[3], for each record in order; length 0: the address is gone
//	record   crc[4] payload…
//
// hash is SHA-256 over the file's id and the address, cut to 16 bytes: nobody
// can choose addresses that collide, and so the hash stands for the address.
const (
	fileMagic   = "SEALPOST MIRROR\n"
	fileVersion = 1
	headerSize  = 64

	batchMagic = 0x31425053 // "SPB1"
	headFixed  = 48
	tableEntry = 19

	maxCursor  = 255
	maxEntries = 1 << 16
	maxRecords = 1 << 30   // bytes of the records of a batch
	maxRecord  = 1<<24 - 1 // bytes of one record
	maxOffset  = 1<<40 - 1 // bytes of FILE
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(parts ...[]byte) uint32 {
	var sum uint32
	for _, p := range parts {
		sum = crc32.Update(sum, castagnoli, p)
	}
	return sum
}

// A fileID tells one copy from every other, and salts its hashes.
type fileID [16]byte

type hash [16]byte

func newID() (id fileID) {
	_, _ = rand.Read(id[:]) // never fails
	return id
}

func (id *fileID) hash(key string) hash {
	const usual = 128
	var buf [usual]byte
	sum := sha256.Sum256(append(append(buf[:0], id[:]...), key...))
	return hash(sum[:16])
}

// A place is where a record lies: offset and length in one word. 0 is nowhere.
type place uint64

func newPlace(offset int64, length int) place { return place(offset)<<24 | place(length) }
func (p place) offset() int64                 { return int64(p >> 24) }
func (p place) length() int                   { return int(p & maxRecord) }

func encodeHeader(id fileID, created time.Time) []byte {
	b := make([]byte, headerSize)
	copy(b, fileMagic)
	binary.LittleEndian.PutUint32(b[16:], fileVersion)
	copy(b[24:], id[:])
	binary.LittleEndian.PutUint64(b[40:], uint64(created.Unix()))
	binary.LittleEndian.PutUint32(b[headerSize-4:], checksum(b[:headerSize-4]))
	return b
}

// Errors of a file that is not as it was written, or never was ours.
var (
	ErrDamaged = errors.New("the mirror's file is damaged")
	ErrForeign = errors.New("the file is no mirror")
	ErrVersion = errors.New("the mirror's file was written by a newer version")
)

func damaged(what string, offset int64) error {
	return fmt.Errorf("%w: %s at byte %d", ErrDamaged, what, offset)
}

func decodeHeader(b []byte) (fileID, error) {
	var id fileID
	switch {
	case len(b) < headerSize || string(b[:16]) != fileMagic:
		return id, ErrForeign
	case binary.LittleEndian.Uint32(b[headerSize-4:]) != checksum(b[:headerSize-4]):
		return id, damaged("the header", 0)
	case binary.LittleEndian.Uint32(b[16:]) != fileVersion:
		return id, ErrVersion
	}
	return fileID(b[24:40]), nil
}

// A standing is how far a copy has come: what the last batch leaves behind.
type standing struct {
	cursor    string // to go on from
	complete  bool   // it has been up to date at least once
	seq       uint64 // number of the last change in it
	directory uint64 // number of the directory's last change, as far as known
	contact   int64  // when the directory was last heard of, Unix time in seconds
}

// A batch is what one write adds.
type batch struct {
	offset   int64 // of its head in FILE
	standing standing
	table    []tableLine
	records  []byte
}

type tableLine struct {
	hash   hash
	length int // of the record; 0: the address is gone
}

func (b *batch) headSize() int {
	return headFixed + len(b.standing.cursor) + len(b.table)*tableEntry + 4
}

// encodeHead writes everything before the records.
func (b *batch) encodeHead() []byte {
	s := &b.standing
	out := make([]byte, headFixed, b.headSize())
	binary.LittleEndian.PutUint32(out[0:], batchMagic)
	binary.LittleEndian.PutUint32(out[4:], uint32(len(b.table)))
	binary.LittleEndian.PutUint32(out[8:], uint32(len(b.records)))
	binary.LittleEndian.PutUint16(out[12:], uint16(len(s.cursor)))
	if s.complete {
		out[14] = 1
	}
	binary.LittleEndian.PutUint64(out[16:], uint64(b.offset))
	binary.LittleEndian.PutUint64(out[24:], s.seq)
	binary.LittleEndian.PutUint64(out[32:], s.directory)
	binary.LittleEndian.PutUint64(out[40:], uint64(s.contact))
	out = append(out, s.cursor...)
	for _, l := range b.table {
		out = append(out, l.hash[:]...)
		out = append(out, byte(l.length), byte(l.length>>8), byte(l.length>>16))
	}
	return binary.LittleEndian.AppendUint32(out, checksum(out))
}

// A headReader reads heads one after the other, as long as they are whole.
type headReader struct {
	file interface {
		ReadAt([]byte, int64) (int, error)
	}
	size int64 // of the file
	buf  []byte
}

var errNoBatch = errors.New("no whole batch")

// head is the batch without its records, and where its records begin and the
// next batch would. The error is errNoBatch, or that of reading.
func (r *headReader) head(offset int64) (b batch, records, end int64, err error) {
	fixed, err := r.read(offset, headFixed)
	if err != nil {
		return b, 0, 0, err
	}
	entries := int64(binary.LittleEndian.Uint32(fixed[4:]))
	length := int64(binary.LittleEndian.Uint32(fixed[8:]))
	cursor := int64(binary.LittleEndian.Uint16(fixed[12:]))
	if binary.LittleEndian.Uint32(fixed) != batchMagic || binary.LittleEndian.Uint64(fixed[16:]) != uint64(offset) ||
		entries > maxEntries || length > maxRecords || cursor > maxCursor {
		return b, 0, 0, errNoBatch
	}
	size := headFixed + cursor + entries*tableEntry + 4
	whole, err := r.read(offset, size)
	if err != nil {
		return b, 0, 0, err
	}
	body := whole[:size-4]
	if binary.LittleEndian.Uint32(whole[size-4:]) != checksum(body) {
		return b, 0, 0, errNoBatch
	}
	b = decodeHead(body, offset, int(entries), int(cursor))
	sum := int64(0)
	for _, l := range b.table {
		sum += int64(l.length)
	}
	records = offset + size
	if sum != length || records+length > r.size {
		return b, 0, 0, errNoBatch
	}
	return b, records, records + length, nil
}

func decodeHead(body []byte, offset int64, entries, cursor int) batch {
	b := batch{offset: offset, table: make([]tableLine, entries), standing: standing{
		cursor: string(body[headFixed : headFixed+cursor]), complete: body[14]&1 != 0,
		seq: binary.LittleEndian.Uint64(body[24:]), directory: binary.LittleEndian.Uint64(body[32:]),
		contact: int64(binary.LittleEndian.Uint64(body[40:])),
	}}
	rest := body[headFixed+cursor:]
	for i := range b.table {
		l := rest[i*tableEntry:]
		b.table[i] = tableLine{hash(l[:16]), int(l[16]) | int(l[17])<<8 | int(l[18])<<16}
	}
	return b
}

// read gives bytes that stay valid until the next call.
func (r *headReader) read(offset, n int64) ([]byte, error) {
	if offset+n > r.size {
		return nil, errNoBatch
	}
	if int64(cap(r.buf)) < n {
		r.buf = make([]byte, n)
	}
	b := r.buf[:n]
	if _, err := r.file.ReadAt(b, offset); err != nil {
		return nil, err
	}
	return b, nil
}
