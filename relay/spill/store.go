package spill

import (
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"sync"
)

// Errors of using a spill out of turn.
var (
	ErrClosed  = errors.New("spill: closed")
	ErrReading = errors.New("spill: written to after a reader was taken")
)

// A Spill holds the bytes of one message. First it is written, by one
// goroutine; then it is read, by any number of them. Close waits for reads
// under way, so that no chunk comes back to the pool under a reader's eyes.
type Spill struct {
	pool *Pool

	mu      sync.RWMutex // held for reading during each read, for writing by Write and Close
	chunks  []*chunk     // all the bytes, or with a file the ones behind it
	size    int64
	file    *os.File // nil while all is in memory
	inFile  int64    // bytes, always whole chunks
	iv      [16]byte
	stream  cipher.Stream // at the offset inFile
	err     error         // of the first write that failed; the spill is void
	reading bool
	closed  bool
}

// Write appends p. An *Error means that the temporary file failed; the spill
// is good for Close only then.
func (s *Spill) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return 0, ErrClosed
	case s.reading:
		return 0, ErrReading
	}
	n := 0
	for n < len(p) && s.err == nil {
		fill := int(s.size % chunkSize)
		if fill == 0 {
			s.err = s.extend()
			if s.err != nil {
				break
			}
		}
		k := copy(s.chunks[len(s.chunks)-1][fill:], p[n:])
		n += k
		s.size += int64(k)
	}
	return n, s.err
}

// extend makes room for the next chunk: in memory within the limits, else by
// moving all that is there to the file. The chunk written last stays in memory
// until more follows, so the file is always written in whole chunks, and a
// message of one chunk never needs it.
func (s *Spill) extend() error {
	if len(s.chunks) == 0 {
		s.chunks = append(s.chunks, s.pool.grab(true))
		return nil
	}
	if s.file == nil {
		if s.size < s.pool.memory {
			if c := s.pool.grab(false); c != nil {
				s.chunks = append(s.chunks, c)
				return nil
			}
		}
		if err := s.open(); err != nil {
			return err
		}
	}
	for _, c := range s.chunks {
		if err := s.store(c); err != nil {
			return err
		}
	}
	for _, c := range s.chunks[1:] {
		s.pool.put(c)
	}
	s.chunks = s.chunks[:1] // to be filled anew
	return nil
}

func (s *Spill) open() error {
	f, err := createTemp(s.pool.dir)
	if err != nil {
		return &Error{"create", err}
	}
	s.pool.files.Add(1)
	s.file = f
	rand.Read(s.iv[:]) // 128 random bits under one key: no two streams meet
	s.stream = cipher.NewCTR(s.pool.block, s.iv[:])
	return nil
}

// store puts one full chunk at the end of the file. The chunk is encrypted in
// place: its content is not needed again.
func (s *Spill) store(c *chunk) error {
	s.stream.XORKeyStream(c[:], c[:])
	if _, err := s.file.Write(c[:]); err != nil {
		return &Error{"write", err}
	}
	s.inFile += chunkSize
	return nil
}

// Size is the number of bytes written.
func (s *Spill) Size() int64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.size
}

// Reader gives all the bytes from the start, and ends the writing. Any number
// of readers may be used at once, each by one goroutine. The reader is an
// io.WriterTo too, which saves a copy.
func (s *Spill) Reader() (io.Reader, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return nil, ErrClosed
	case s.err != nil:
		return nil, s.err
	}
	s.reading = true
	r := &reader{s: s}
	if s.file != nil {
		r.stream = cipher.NewCTR(s.pool.block, s.iv[:])
	}
	return r, nil
}

// Close gives memory and file back. Readers that are still around fail with
// ErrClosed. A second Close does nothing.
func (s *Spill) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	s.pool.spills.Add(-1)
	for _, c := range s.chunks {
		s.pool.put(c)
	}
	s.chunks = nil
	if s.file == nil {
		return nil
	}
	s.pool.files.Add(-1)
	return s.file.Close()
}
