package spool

import (
	"fmt"
	"io"

	"filippo.io/age"
)

// Sizes of the age v1 format with one X25519 recipient: header, nonce, and
// chunks of 64 KiB with a tag each.
const (
	ageHeader = 168 + 16
	ageChunk  = 64 << 10
	ageTag    = 16
)

// sealedSize is the size of the age file around n bytes.
func sealedSize(n int64) int64 {
	chunks := max(1, (n+ageChunk-1)/ageChunk)
	return ageHeader + n + chunks*ageTag
}

// writeContent writes the body as it is stored: sealed to the spool's key when
// it is private.
func (s *Store) writeContent(dst io.Writer, e *Entry) error {
	if !e.Private {
		return copyExactly(dst, e.Body)
	}
	sealed, err := age.Encrypt(dst, s.opt.Identity.identity.Recipient())
	if err != nil {
		return err
	}
	if err := copyExactly(sealed, e.Body); err != nil {
		return err
	}
	return sealed.Close()
}

// copyExactly refuses a body that is not of the size it announced.
func copyExactly(dst io.Writer, body Content) error {
	n, err := body.WriteTo(dst)
	if err == nil && n != body.Size() {
		err = fmt.Errorf("spool: body has %d bytes, %d were announced", n, body.Size())
	}
	return err
}

// window is a writer into a space of fixed size.
type window struct{ b []byte }

func (w *window) Write(p []byte) (int, error) {
	n := copy(w.b, p)
	w.b = w.b[n:]
	if n < len(p) {
		return n, fmt.Errorf("spool: body is longer than announced: %w", io.ErrShortWrite)
	}
	return n, nil
}
