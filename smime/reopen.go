package smime

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"sealpost/smime/cms"
)

// headVersion begins every head, so that a later form can be told apart.
const headVersion = 1

// ErrHead says that a head is not one that Sealed.Head has made, or belongs to
// another ciphertext.
var ErrHead = errors.New("smime: not the head of this sealed message")

// Head is everything of the copy but the ciphertext that it shares with
// others: with that, Reopen makes the same copy again, later and in another
// process. It holds nothing secret beyond the header of the message.
func (s *Sealed) Head() ([]byte, error) {
	if !s.made() {
		return nil, errNotSealed
	}
	b := []byte{headVersion, byte(s.cipher)}
	b = binary.AppendUvarint(b, uint64(s.size))
	for _, part := range [][]byte{s.header, s.prefix, s.suffix} {
		b = binary.AppendUvarint(b, uint64(len(part)))
		b = append(b, part...)
	}
	return b, nil
}

// Ciphertext is the encrypted content alone, as Reopen wants it back.
func (e *Envelope) Ciphertext() (io.Reader, error) { return e.store.Reader() }

// CiphertextSize is its size in bytes.
func (e *Envelope) CiphertextSize() int64 { return e.size }

// Reopen makes a copy of a message from its head and its ciphertext. What it
// gives is sealed: head and ciphertext are read whole, and must be one
// well-formed enveloped message. The error is ErrHead, or the store's.
func Reopen(head []byte, store Store) (*Sealed, error) {
	c, prefix, suffix, err := parseHead(head)
	if err != nil {
		return nil, err
	}
	c.store = store
	if store.Size() != c.size {
		return nil, fmt.Errorf("%w: %d bytes of a ciphertext of %d", ErrHead, store.Size(), c.size)
	}
	r, err := store.Reader()
	if err != nil {
		return nil, err
	}
	v := cms.NewValidator()
	_, _ = v.Write(prefix) // the verdict is Close's
	if _, err := copyAll(v, r); err != nil {
		return nil, err
	}
	_, _ = v.Write(suffix)
	info, err := v.Close()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrHead, err)
	}
	if info.Cipher != c.cipher.String() || info.Size != c.size {
		return nil, fmt.Errorf("%w: %s over %d bytes", ErrHead, info.Cipher, info.Size)
	}
	return c.sealed(prefix, suffix), nil
}

func parseHead(head []byte) (c *ciphertext, prefix, suffix []byte, err error) {
	if len(head) < 2 || head[0] != headVersion {
		return nil, nil, nil, ErrHead
	}
	c = &ciphertext{cipher: cms.Cipher(head[1])}
	rest := head[2:]
	size, n := binary.Uvarint(rest)
	if n <= 0 || size > 1<<62 {
		return nil, nil, nil, ErrHead
	}
	c.size, rest = int64(size), rest[n:]
	var parts [3][]byte
	for i := range parts {
		n, k := binary.Uvarint(rest)
		if k <= 0 || n > uint64(len(rest)-k) {
			return nil, nil, nil, ErrHead
		}
		parts[i], rest = slices.Clone(rest[k:k+int(n)]), rest[k+int(n):]
	}
	if len(rest) != 0 || !sealedHeader(parts[0]) {
		return nil, nil, nil, ErrHead
	}
	c.header = parts[0]
	return c, parts[1], parts[2], nil
}

// sealedHeader reports a whole header that says its body is enveloped.
func sealedHeader(raw []byte) bool {
	m, err := ReadMessage(strings.NewReader(string(raw)), Limits{HeaderBytes: len(raw) + 1, Fields: len(raw) + 1})
	return err == nil && m.Header.Raw() == string(raw) && strings.HasSuffix(string(raw), "\r\n\r\n") && Claims(m.Header) == EnvelopedSMIME
}
