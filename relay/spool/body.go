package spool

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"

	"filippo.io/age"
)

// OpenBody reads a message's body, as it was put. Only io.EOF means that it
// came whole: with any other error what was read before is void. The last
// bytes are given out only when the whole body is what was written. Close the
// reader before the Store.
func (s *Store) OpenBody(id string) (io.ReadCloser, error) {
	p, err := s.pin(id)
	if err != nil {
		return nil, err
	}
	b, err := s.openBody(p)
	if err != nil {
		s.release(p)
		return nil, err
	}
	return b, nil
}

func (s *Store) openBody(p place) (*bodyReader, error) {
	r, err := s.readRecord(p)
	if err != nil {
		return nil, s.found(p, err)
	}
	b := &bodyReader{store: s, place: p, rest: r.size}
	v := &verifier{file: p.seg.file, off: p.off + r.bodyAt(p.head), left: r.stored, want: r.sum, sum: sha256.New()}
	if r.external() {
		f, err := s.fs.Open(bodyName(r.uid), os.O_RDONLY)
		if err != nil {
			return nil, s.noBody(p, err)
		}
		b.file, v.file, v.off = f, f, 0
	}
	b.stored, b.src = v, v
	if r.private() {
		if b.src, err = age.Decrypt(v, s.opt.Identity.identity); err != nil {
			b.closeFile()
			return nil, s.found(p, b.why(err))
		}
	}
	return b, nil
}

// noBody tells a body that is missing from one that went just now.
func (s *Store) noBody(p place, err error) error {
	s.mu.Lock()
	gone := s.byUID[p.e.uid] != p.e
	s.mu.Unlock()
	switch {
	case gone:
		return fmt.Errorf("%w: %s", ErrNotFound, p.e.id)
	case errors.Is(err, os.ErrNotExist):
		err = fmt.Errorf("%w: its body is missing", ErrDamaged)
	}
	return s.found(p, err)
}

// bodyReader gives out a body and watches over what was stored.
type bodyReader struct {
	store  *Store
	place  place
	file   File // the body's own, or nil
	stored *verifier
	src    io.Reader
	rest   int64
	err    error
	closed bool
}

func (b *bodyReader) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	n, err := b.src.Read(p)
	b.rest -= int64(n)
	switch {
	case err == io.EOF && b.rest == 0:
		b.err = io.EOF
	case err == io.EOF:
		b.err = b.store.found(b.place, fmt.Errorf("%w: body has another length", ErrDamaged))
	case err != nil:
		b.err = b.store.found(b.place, b.why(err))
	}
	return n, b.err
}

// why tells a file that cannot be read from one that reads wrong.
func (b *bodyReader) why(err error) error {
	if failed := b.stored.failed; failed != nil {
		return failed
	}
	return fmt.Errorf("%w: body: %w", ErrDamaged, err)
}

// Close lets go of the message. It may be called twice.
func (b *bodyReader) Close() error {
	if b.closed {
		return nil
	}
	b.closed, b.err = true, os.ErrClosed
	b.store.release(b.place)
	return b.closeFile()
}

func (b *bodyReader) closeFile() error {
	if b.file == nil {
		return nil
	}
	return b.file.Close()
}

// verifier reads stored bytes and keeps back the last of them until the
// checksum over all is right.
type verifier struct {
	file   File
	off    int64
	left   int64
	want   [sha256.Size]byte
	sum    hash.Hash
	failed error // of the file, as opposed to its content
	done   bool
}

func (v *verifier) Read(p []byte) (int, error) {
	if v.done {
		return 0, io.EOF
	}
	n := int(min(int64(len(p)), v.left))
	if err := readFull(v.file, p[:n], v.off); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return 0, errors.New("file is too short")
		}
		v.failed = err
		return 0, err
	}
	v.sum.Write(p[:n])
	v.off += int64(n)
	v.left -= int64(n)
	if v.left > 0 {
		return n, nil
	}
	if [sha256.Size]byte(v.sum.Sum(nil)) != v.want {
		return 0, errors.New("wrong checksum")
	}
	v.done = true
	return n, nil
}
