package smime

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"sealpost/smime/cms"
)

// maxTexts bounds the base64 text that an envelope keeps for its copies, in
// bytes.
const maxTexts = 256 << 10

// An Envelope is a message that was encrypted and has no recipients yet.
type Envelope struct {
	*ciphertext
	content *cms.Content
}

// A ciphertext is what all copies of a message share: the header of the sealed
// message and the encrypted content.
type ciphertext struct {
	header []byte // with its blank line
	cipher cms.Cipher
	size   int64
	store  Store

	mu     sync.Mutex // guards what follows
	copies int
	texts  [3]*text // by the bytes of ciphertext before the first quantum
	kept   int64    // bytes in texts
}

// A text is a ciphertext in base64, without line ends, and what stands before
// and behind its whole quanta of three bytes.
type text struct {
	head, chars, tail []byte
}

// Copy makes one outgoing message that these recipients, and nobody else, are
// named in and can open.
func (e *Envelope) Copy(to ...cms.Recipient) (*Sealed, error) {
	if len(to) == 0 {
		return nil, errors.New("smime: a copy without recipients")
	}
	prefix, err := e.content.Prefix(to...)
	if err != nil {
		return nil, err
	}
	return e.sealed(prefix, e.content.Suffix()), nil
}

// sealed is a copy with this CMS around the ciphertext.
func (c *ciphertext) sealed(prefix, suffix []byte) *Sealed {
	c.mu.Lock()
	c.copies++
	c.mu.Unlock()
	return &Sealed{ciphertext: c, prefix: prefix, suffix: suffix}
}

// Close wipes the key. No more copies can be made; those that were made can
// still be written, as long as the store is there.
func (e *Envelope) Close() { e.content.Destroy() }

// writeCiphertext puts the ciphertext into t. When several copies are made of
// a small message, what is encoded for one serves for others: there are only
// three places in the ciphertext where a quantum of base64 can begin.
func (c *ciphertext) writeCiphertext(t *textWriter) error {
	shared, err := c.text((3 - t.nPend) % 3)
	if err != nil {
		return err
	}
	if shared == nil {
		return c.streamCiphertext(t)
	}
	if _, err := t.Write(shared.head); err != nil {
		return err
	}
	if err := t.text(shared.chars); err != nil {
		return err
	}
	_, err = t.Write(shared.tail)
	return err
}

func (c *ciphertext) streamCiphertext(t *textWriter) error {
	r, err := c.store.Reader()
	if err != nil {
		return err
	}
	n, err := copyAll(t, r)
	if err == nil && n != c.size {
		err = fmt.Errorf("smime: store gave %d bytes of a ciphertext of %d", n, c.size)
	}
	return err
}

// text gives the text that begins skip bytes into the ciphertext; nil when it
// is not worth its memory.
func (c *ciphertext) text(skip int) (*text, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t := c.texts[skip]; t != nil {
		return t, nil
	}
	quanta := (c.size - int64(skip)) / 3
	if c.copies < 2 || quanta <= 0 || c.kept+quanta*4 > maxTexts {
		return nil, nil
	}
	t, err := c.encodeText(skip, int(quanta))
	if err != nil {
		return nil, err
	}
	c.texts[skip] = t
	c.kept += quanta * 4
	return t, nil
}

func (c *ciphertext) encodeText(skip, quanta int) (*text, error) {
	r, err := c.store.Reader()
	if err != nil {
		return nil, err
	}
	block := blocks.Get().(*[blockSize]byte)
	defer blocks.Put(block)
	t := &text{head: make([]byte, skip), chars: make([]byte, quanta*4)}
	if _, err := io.ReadFull(r, t.head); err != nil {
		return nil, err
	}
	for dst := t.chars; quanta > 0; {
		n := min(quanta, blockSize/3)
		if _, err := io.ReadFull(r, block[:n*3]); err != nil {
			return nil, err
		}
		encode(dst[:n*4], block[:n*3], pairs())
		dst, quanta = dst[n*4:], quanta-n
	}
	t.tail = make([]byte, (c.size-int64(skip))%3)
	_, err = io.ReadFull(r, t.tail)
	return t, err
}
