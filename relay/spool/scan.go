package spool

import (
	"encoding/binary"
	"errors"
	"io"
)

// A gap is a stretch of a file without a valid frame. The last one, up to the
// end of the file, is a tail.
type gap struct {
	from, to int64
	tail     bool
	// started: a frame of this file begins here, and is not whole.
	started bool
}

// scanner finds the valid frames of one file. What cannot be read counts as
// bytes that are wrong.
type scanner struct {
	file       File
	number     uint64
	key        sealer
	size       int64
	window     []byte
	at         int64 // where the window lies
	synced     int64 // the highest claim of a valid frame
	gaps       []gap
	unreadable bool
}

const (
	scanWindow   = 8 << 10
	searchWindow = 1 << 20
	blockSize    = 4 << 10
)

// newScanner looks at the first size bytes of the file, or at all of it.
func newScanner(file File, number uint64, key sealer, size int64) (*scanner, error) {
	have, err := file.Size()
	if err != nil {
		return nil, err
	}
	return &scanner{file: file, number: number, key: key, size: min(size, have)}, nil
}

// run visits every valid frame in order.
func (sc *scanner) run(visit func(f frame, payload []byte)) {
	for off := int64(0); off < sc.size; {
		f, payload, ok := sc.frame(off)
		if !ok {
			g := gap{from: off, started: sc.begins(off)}
			off = sc.search(off + frameAlign)
			g.to, g.tail = off, off >= sc.size
			sc.gaps = append(sc.gaps, g)
			continue
		}
		sc.synced = max(sc.synced, f.synced)
		visit(f, payload)
		off += f.length
	}
}

// frame reads the frame at off, if there is a valid one.
func (sc *scanner) frame(off int64) (frame, []byte, bool) {
	head := sc.bytes(off, frameHeader)
	f, ok := parseFrame(head)
	if !ok || f.number != sc.number || f.offset != off || off+f.length > sc.size {
		return f, nil, false
	}
	b := sc.bytes(off, f.head())
	payload, err := sc.key.open(b[frameHeader:], b[:frameHeader])
	return f, payload, err == nil
}

// begins reports that this file's own frame was started at off.
func (sc *scanner) begins(off int64) bool {
	f, ok := parseFrame(sc.bytes(off, frameHeader))
	return ok && f.number == sc.number && f.offset == off
}

// search gives the place of the next valid frame, or the size.
func (sc *scanner) search(off int64) int64 {
	for off < sc.size {
		chunk := sc.bytes(off, searchWindow)
		for i := 0; i+4 <= len(chunk); i += frameAlign {
			if binary.BigEndian.Uint32(chunk[i:]) != frameMagic {
				continue
			}
			if _, _, ok := sc.frame(off + int64(i)); ok {
				return off + int64(i)
			}
			chunk = sc.bytes(off, searchWindow)
		}
		off += searchWindow
	}
	return sc.size
}

// bytes gives n bytes from off, fewer at the end of the file. The slice is
// good until the next call.
func (sc *scanner) bytes(off, n int64) []byte {
	n = max(0, min(n, sc.size-off))
	if off < sc.at || off+n > sc.at+int64(len(sc.window)) {
		want := min(max(n, scanWindow), sc.size-off)
		if int64(cap(sc.window)) < want {
			sc.window = make([]byte, want)
		}
		sc.window, sc.at = sc.window[:want], off
		sc.fill()
	}
	return sc.window[off-sc.at:][:n]
}

// fill reads the window, block by block when it cannot be read as a whole: a
// bad sector must not hide its neighbours.
func (sc *scanner) fill() {
	if readFull(sc.file, sc.window, sc.at) == nil {
		return
	}
	for from := 0; from < len(sc.window); from += blockSize {
		block := sc.window[from:min(from+blockSize, len(sc.window))]
		if readFull(sc.file, block, sc.at+int64(from)) != nil {
			sc.unreadable = true
			clear(block)
		}
	}
}

// readFull is ReadAt that has io.EOF only for a file that is too short.
func readFull(f File, p []byte, off int64) error {
	n, err := f.ReadAt(p, off)
	if n == len(p) && errors.Is(err, io.EOF) {
		return nil
	}
	if err == nil && n < len(p) {
		return io.ErrUnexpectedEOF
	}
	return err
}
