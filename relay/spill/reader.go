package spill

import (
	"crypto/cipher"
	"io"
)

// A reader walks through one spill: first the file, then the chunks behind it.
type reader struct {
	s      *Spill
	off    int64
	stream cipher.Stream // nil without a file; at offset off
}

// Read reads the next bytes.
func (r *reader) Read(p []byte) (int, error) {
	r.s.mu.RLock()
	defer r.s.mu.RUnlock()
	if r.s.closed {
		return 0, ErrClosed
	}
	if len(p) == 0 {
		return 0, nil
	}
	if r.off < r.s.inFile {
		return r.readFile(p)
	}
	b := r.memory()
	if len(b) == 0 {
		return 0, io.EOF
	}
	n := copy(p, b)
	r.off += int64(n)
	return n, nil
}

// WriteTo writes all that is left, straight from memory where it is there.
func (r *reader) WriteTo(w io.Writer) (total int64, err error) {
	r.s.mu.RLock()
	defer r.s.mu.RUnlock()
	if r.s.closed {
		return 0, ErrClosed
	}
	var buf *chunk
	if r.off < r.s.inFile {
		buf = r.s.pool.grab(true)
		defer r.s.pool.put(buf)
	}
	for {
		b, err := r.next(buf)
		if err != nil || len(b) == 0 {
			return total, err
		}
		n, err := w.Write(b)
		total += int64(n)
		if err != nil {
			return total, err
		}
	}
}

// next gives the bytes that follow, and nothing at the end.
func (r *reader) next(buf *chunk) ([]byte, error) {
	if r.off < r.s.inFile {
		n, err := r.readFile(buf[:])
		return buf[:n], err
	}
	b := r.memory()
	r.off += int64(len(b))
	return b, nil
}

// readFile reads and decrypts the bytes from off on.
func (r *reader) readFile(p []byte) (int, error) {
	p = p[:min(int64(len(p)), r.s.inFile-r.off)]
	n, err := r.s.file.ReadAt(p, r.off)
	r.stream.XORKeyStream(p[:n], p[:n])
	r.off += int64(n)
	if n == len(p) {
		return n, nil
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF // somebody made the file shorter
	}
	return n, &Error{"read", err}
}

// memory is the run of bytes in memory that begins at off.
func (r *reader) memory() []byte {
	if r.off >= r.s.size {
		return nil
	}
	at := r.off - r.s.inFile
	end := min(int64(chunkSize), r.s.size-r.off+at%chunkSize)
	return r.s.chunks[at/chunkSize][at%chunkSize : end]
}
