package mirror

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// The layout of FILE.index, all numbers little-endian:
//
//	header  magic[16] version[4] cursor[2] flags[1] 0[1] id[16] end[8] entries[8] live[8]
//	        seq[8] directory[8] contact[8] batches[8] cursor… crc[4]
//	firsts  hash[16] of the first line of each block, crc[4]
//	blocks  {hash[16] place[8]} up to 32 times, crc[4] over the block's number and its lines
//
// id is that of FILE, and end how far into it the table goes. Lines are sorted
// by hash, so that the one block is known which has an address if any has it.
const (
	indexMagic   = "SEALPOST INDEX 1"
	indexVersion = 1
	indexFixed   = 96
	indexLine    = 24
	blockLines   = 32
	blockSize    = blockLines*indexLine + 4
)

// An indexHead is what the table is about.
type indexHead struct {
	id       fileID
	end      int64
	entries  int64
	live     int64 // bytes that what is in the table takes in FILE
	batches  int64 // in FILE up to end
	standing standing
}

func (h *indexHead) encode() []byte {
	s := &h.standing
	b := make([]byte, indexFixed, indexFixed+len(s.cursor)+4)
	copy(b, indexMagic)
	binary.LittleEndian.PutUint32(b[16:], indexVersion)
	binary.LittleEndian.PutUint16(b[20:], uint16(len(s.cursor)))
	if s.complete {
		b[22] = 1
	}
	copy(b[24:], h.id[:])
	for i, v := range []uint64{
		uint64(h.end), uint64(h.entries), uint64(h.live), s.seq, s.directory, uint64(s.contact), uint64(h.batches),
	} {
		binary.LittleEndian.PutUint64(b[40+8*i:], v)
	}
	b = append(b, s.cursor...)
	return binary.LittleEndian.AppendUint32(b, checksum(b))
}

func decodeIndexHead(b []byte) (h indexHead, size int, ok bool) {
	if len(b) < indexFixed+4 || string(b[:16]) != indexMagic || binary.LittleEndian.Uint32(b[16:]) != indexVersion {
		return h, 0, false
	}
	n := int(binary.LittleEndian.Uint16(b[20:]))
	size = indexFixed + n + 4
	if n > maxCursor || len(b) < size || binary.LittleEndian.Uint32(b[size-4:]) != checksum(b[:size-4]) {
		return h, 0, false
	}
	number := func(i int) uint64 { return binary.LittleEndian.Uint64(b[40+8*i:]) }
	h = indexHead{
		id: fileID(b[24:40]), end: int64(number(0)), entries: int64(number(1)), live: int64(number(2)), batches: int64(number(6)),
		standing: standing{
			cursor: string(b[indexFixed : indexFixed+n]), complete: b[22]&1 != 0,
			seq: number(3), directory: number(4), contact: int64(number(5)),
		},
	}
	return h, size, h.end >= headerSize && h.end <= maxOffset && h.entries >= 0 && h.entries <= maxOffset/indexLine
}

// A table is an open FILE.index. It never changes.
type table struct {
	head   indexHead
	data   []byte // the file, mapped; nil for the table without lines
	firsts []byte
	blocks []byte
}

// openTable opens the table of the copy with this id. It is nil, without an
// error, when there is none that can be used: then it is made anew from FILE.
func openTable(path string, id fileID) (*table, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil // not there, or not ours to read
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil || !st.Mode().IsRegular() || st.Size() < indexFixed || st.Size() > 1<<40 {
		return nil, nil
	}
	data, err := unix.Mmap(int(f.Fd()), 0, int(st.Size()), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("mirror: map %s: %w", path, err)
	}
	t := &table{data: data}
	ok, err := t.check(id)
	if err != nil || !ok {
		t.close()
		return nil, nil
	}
	return t, nil
}

// check proves head and firsts; blocks are proven when they are read.
func (t *table) check(id fileID) (ok bool, err error) {
	defer guard(&err)()
	head, size, ok := decodeIndexHead(t.data)
	if !ok || head.id != id {
		return false, nil
	}
	n := (head.entries + blockLines - 1) / blockLines
	firsts := t.data[size:]
	if int64(len(firsts)) != n*16+4+head.entries*indexLine+n*4 {
		return false, nil
	}
	t.blocks = firsts[n*16+4:]
	sum := binary.LittleEndian.Uint32(firsts[n*16:])
	t.firsts = firsts[:n*16]
	t.head = head
	return checksum(t.firsts) == sum, nil
}

func (t *table) close() {
	if t != nil && t.data != nil {
		_ = unix.Munmap(t.data)
		t.data, t.firsts, t.blocks = nil, nil, nil
	}
}

func (t *table) count() int { return len(t.firsts) / 16 }

// find is the place of a hash, 0 when it is not in the table.
func (t *table) find(h hash) (p place, err error) {
	if t == nil || len(t.firsts) == 0 {
		return 0, nil
	}
	defer guard(&err)()
	return t.search(h)
}

// search is find for a table with lines, where a guard stands already.
func (t *table) search(h hash) (place, error) {
	after := firstAfter(t.firsts, 16, h)
	if after == 0 {
		return 0, nil
	}
	lines, err := t.block(after - 1)
	if err != nil {
		return 0, err
	}
	i := firstAfter(lines, indexLine, h)
	if i == 0 {
		return 0, nil
	}
	l := lines[(i-1)*indexLine : i*indexLine]
	if hash(l[:16]) != h {
		return 0, nil
	}
	return place(binary.LittleEndian.Uint64(l[16:])), nil
}

// firstAfter is the number of the first line that begins with a larger hash.
// Lines are of one width, and sorted.
func firstAfter(lines []byte, width int, h hash) int {
	high, low := binary.BigEndian.Uint64(h[:]), binary.BigEndian.Uint64(h[8:])
	from, to := 0, len(lines)/width
	for from < to {
		middle := int(uint(from+to) >> 1)
		l := lines[middle*width : middle*width+16]
		first := binary.BigEndian.Uint64(l)
		if first > high || first == high && binary.BigEndian.Uint64(l[8:]) > low {
			to = middle
		} else {
			from = middle + 1
		}
	}
	return from
}

// block gives the lines of a block, proven.
func (t *table) block(i int) ([]byte, error) {
	start := i * blockSize
	end := min(start+blockSize, len(t.blocks))
	lines := t.blocks[start : end-4]
	if binary.LittleEndian.Uint32(t.blocks[end-4:]) != blockSum(i, lines) {
		return nil, damaged("the index", int64(start))
	}
	return lines, nil
}

func blockSum(i int, lines []byte) uint32 {
	var number [8]byte
	binary.LittleEndian.PutUint64(number[:], uint64(i))
	return checksum(number[:], lines)
}

// A line is one line of a table.
type line struct {
	hash  hash
	place place
}

// merged gives the lines of the table with those of the delta put in, in order.
func (t *table) merged(delta map[hash]place, yield func(line) error) (err error) {
	defer guard(&err)()
	news := make([]line, 0, len(delta))
	for h, p := range delta {
		news = append(news, line{h, p})
	}
	slices.SortFunc(news, func(a, b line) int { return bytes.Compare(a.hash[:], b.hash[:]) })
	give := func(l line) error {
		if l.place == 0 {
			return nil
		}
		return yield(l)
	}
	blocks := 0
	if t != nil {
		blocks = t.count()
	}
	for i := range blocks {
		lines, err := t.block(i)
		if err != nil {
			return err
		}
		for ; len(lines) > 0; lines = lines[indexLine:] {
			old := line{hash(lines[:16]), place(binary.LittleEndian.Uint64(lines[16:]))}
			for len(news) > 0 && bytes.Compare(news[0].hash[:], old.hash[:]) < 0 {
				if err := give(news[0]); err != nil {
					return err
				}
				news = news[1:]
			}
			if len(news) > 0 && news[0].hash == old.hash {
				continue // the new line stands for it
			}
			if err := give(old); err != nil {
				return err
			}
		}
	}
	for _, l := range news {
		if err := give(l); err != nil {
			return err
		}
	}
	return nil
}

// writeTable writes the table of head with these lines, durable, under a name
// that then takes the place of path.
func writeTable(path string, head indexHead, lines func(yield func(line) error) error) error {
	temporary := path + ".new"
	f, err := os.OpenFile(temporary, os.O_RDWR|os.O_CREATE|os.O_TRUNC|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	err = fillTable(f, head, lines)
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(temporary, path)
	}
	if err != nil {
		_ = os.Remove(temporary)
	}
	return err
}

// fillTable writes the blocks first, since only then the firsts are known.
func fillTable(f *os.File, head indexHead, lines func(yield func(line) error) error) error {
	start := head.encode()
	n := (head.entries + blockLines - 1) / blockLines
	firsts := make([]byte, 0, n*16+4)
	if _, err := f.Seek(int64(len(start))+n*16+4, io.SeekStart); err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	block, count := make([]byte, 0, blockSize), int64(0)
	flush := func() error {
		firsts = append(firsts, block[:16]...)
		block = binary.LittleEndian.AppendUint32(block, blockSum(len(firsts)/16-1, block))
		_, err := w.Write(block)
		block = block[:0]
		return err
	}
	err := lines(func(l line) error {
		count++
		block = binary.LittleEndian.AppendUint64(append(block, l.hash[:]...), uint64(l.place))
		if len(block) == blockLines*indexLine {
			return flush()
		}
		return nil
	})
	if err == nil && len(block) > 0 {
		err = flush()
	}
	if err == nil && count != head.entries {
		err = fmt.Errorf("%w: %d addresses where %d were counted", ErrDamaged, count, head.entries)
	}
	if err == nil {
		err = w.Flush()
	}
	if err != nil {
		return err
	}
	firsts = binary.LittleEndian.AppendUint32(firsts, checksum(firsts))
	_, err = f.WriteAt(append(start, firsts...), 0)
	return err
}
