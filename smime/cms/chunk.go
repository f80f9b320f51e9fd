package cms

import (
	"crypto/aes"
	"crypto/cipher"
	"io"
	"sync"
)

// chunkSize is how much is encrypted at a time, in octets: a multiple of the
// block size that stays in the processor's cache.
const chunkSize = 64 << 10

// A chunkBuffer has room for padding or a tag behind the chunk.
type chunkBuffer [chunkSize + 16]byte

// buffers recycles chunk buffers. Only ciphertext or zeros are put back.
var buffers = sync.Pool{New: func() any { return new(chunkBuffer) }}

func getBuffer() *chunkBuffer { return buffers.Get().(*chunkBuffer) }

// A chunkCipher encrypts a content in place, chunk by chunk.
type chunkCipher interface {
	// chunk encrypts chunkSize octets that are not the last ones.
	chunk(p []byte)
	// last encrypts what is left, possibly nothing, and ends the content. p has
	// capacity for 16 octets more. The tag is nil when there is none.
	last(p []byte) (ciphertext, tag []byte)
	// limit is how many octets of plaintext one key may encrypt.
	limit() int64
}

func newChunkCipher(c Cipher, key, iv []byte) (chunkCipher, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	if c.AEAD() {
		return newGCM(block, iv)
	}
	return cbc{cipher.NewCBCEncrypter(block, iv)}, nil
}

// A contentWriter takes plaintext and writes ciphertext.
type contentWriter struct {
	content *Content
	dst     io.Writer
	enc     chunkCipher
	buf     *chunkBuffer // nil once closed
	n       int          // octets of plaintext in buf
	size    int64        // octets written to dst
	err     error
}

// Write holds a full chunk back until more follows, because the last chunk is Close's.
func (w *contentWriter) Write(p []byte) (int, error) {
	if w.err == nil && w.buf == nil {
		w.err = ErrState
	}
	written := 0
	for w.err == nil && len(p) > 0 {
		if w.n == chunkSize {
			w.flush()
			continue
		}
		n := copy(w.buf[w.n:chunkSize], p)
		p = p[n:]
		w.n += n
		written += n
	}
	return written, w.err
}

func (w *contentWriter) flush() {
	if w.size+chunkSize > w.enc.limit() {
		w.err = ErrTooLarge
		return
	}
	w.enc.chunk(w.buf[:chunkSize])
	w.emit(w.buf[:chunkSize])
	w.n = 0
}

func (w *contentWriter) emit(p []byte) {
	n, err := w.dst.Write(p)
	w.size += int64(n)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	w.err = err
}

// Close encrypts what is left and completes the content.
func (w *contentWriter) Close() error {
	if w.buf == nil {
		return w.err
	}
	if w.err == nil && w.size+int64(w.n) > w.enc.limit() {
		w.err = ErrTooLarge
	}
	if w.err == nil {
		ciphertext, tag := w.enc.last(w.buf[:w.n])
		if len(ciphertext) > 0 {
			w.emit(ciphertext)
		}
		if w.err == nil {
			w.content.complete(w.size, tag)
		}
	} else {
		clear(w.buf[:]) // plaintext may be in it
	}
	buffers.Put(w.buf)
	w.buf = nil
	return w.err
}

// cbc is AES-CBC with the padding of RFC 5652, 6.3.
type cbc struct{ cipher.BlockMode }

func (c cbc) chunk(p []byte) { c.CryptBlocks(p, p) }

func (c cbc) last(p []byte) (ciphertext, tag []byte) {
	pad := c.BlockSize() - len(p)%c.BlockSize()
	for range pad {
		p = append(p, byte(pad))
	}
	c.CryptBlocks(p, p)
	return p, nil
}

func (c cbc) limit() int64 { return 1<<62 - 1 }
