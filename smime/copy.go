package smime

import (
	"io"
	"sync"
)

// blockSize is the size of the buffers that carry bodies, texts and
// ciphertexts, and of the writes that leave.
const blockSize = 64 << 10

// blocks keeps such buffers. They hold plaintext at times: always write before
// reading.
var blocks = sync.Pool{New: func() any { return new([blockSize]byte) }}

// copyAll is io.Copy with a buffer that is used again.
func copyAll(dst io.Writer, src io.Reader) (int64, error) {
	if from, ok := src.(io.WriterTo); ok {
		return from.WriteTo(dst)
	}
	block := blocks.Get().(*[blockSize]byte)
	defer blocks.Put(block)
	return io.CopyBuffer(writerOnly{dst}, src, block[:])
}

// writerOnly hides a ReadFrom that would bring a buffer of its own.
type writerOnly struct{ io.Writer }
