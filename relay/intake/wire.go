package intake

import (
	"bytes"
	"io"
	"net"
	"sync"
	"time"
)

// A connection waits for commands with a small buffer of its own and borrows a
// large one for data, so that idle connections are cheap.
const (
	smallBuffer = 1 << 10
	largeBuffer = 64 << 10
	maxQueued   = 16 << 10 // octets of replies
)

type bufferPool struct{ pool sync.Pool }

func newBufferPool() *bufferPool {
	return &bufferPool{sync.Pool{New: func() any { return new([largeBuffer]byte) }}}
}

// A wire is the buffered byte stream of a connection. Replies gather in out
// and leave in one write before a read that may block (RFC 2920 section 3.2).
type wire struct {
	conn         net.Conn
	pool         *bufferPool
	buf          []byte // small[:] or large[:]
	start, end   int    // of what was read and not yet taken
	large        *[largeBuffer]byte
	small        [smallBuffer]byte
	out          []byte
	writeTimeout time.Duration
}

func (w *wire) init(conn net.Conn, pool *bufferPool, writeTimeout time.Duration) {
	w.conn, w.pool, w.writeTimeout = conn, pool, writeTimeout
	w.buf = w.small[:]
}

// buffered is what was read and not yet taken. It is valid until fill.
func (w *wire) buffered() []byte { return w.buf[w.start:w.end] }

func (w *wire) advance(n int) { w.start += n }

// grow changes to the large buffer.
func (w *wire) grow() {
	if w.large != nil {
		return
	}
	w.large = w.pool.pool.Get().(*[largeBuffer]byte)
	w.end = copy(w.large[:], w.buffered())
	w.start, w.buf = 0, w.large[:]
}

// shrink gives the large buffer back if it is empty.
func (w *wire) shrink() {
	if w.large == nil || w.start != w.end {
		return
	}
	w.pool.pool.Put(w.large)
	w.large, w.buf, w.start, w.end = nil, w.small[:], 0, 0
}

// release gives the large buffer back whatever is in it.
func (w *wire) release() {
	w.start, w.end = 0, 0
	w.shrink()
}

// fill reads once into the free part of the buffer, after sending the replies
// that wait. When it returns nil there is something new.
func (w *wire) fill() error {
	if err := w.flush(); err != nil {
		return err
	}
	if w.start > 0 {
		w.end = copy(w.buf, w.buffered())
		w.start = 0
	}
	if w.end == len(w.buf) {
		w.grow()
	}
	if w.end == len(w.buf) {
		return io.ErrShortBuffer
	}
	n, err := w.conn.Read(w.buf[w.end:])
	w.end += n
	if n > 0 {
		return nil
	}
	if err == nil {
		return io.ErrNoProgress
	}
	return err
}

// flush sends the replies that wait.
func (w *wire) flush() error {
	if len(w.out) == 0 {
		return nil
	}
	if err := w.conn.SetWriteDeadline(time.Now().Add(w.writeTimeout)); err != nil {
		return err
	}
	_, err := w.conn.Write(w.out)
	w.out = w.out[:0]
	if cap(w.out) > smallBuffer {
		w.out = nil
	}
	return err
}

// relieve sends replies early when a client pipelines so much that they would
// fill memory.
func (w *wire) relieve() error {
	if len(w.out) < maxQueued {
		return nil
	}
	return w.flush()
}

// cutLine takes a line that ended in LF off the buffer, without the LF. It is
// valid until fill.
func (w *wire) cutLine() ([]byte, bool) {
	b := w.buffered()
	i := bytes.IndexByte(b, '\n')
	if i < 0 {
		return nil, false
	}
	w.advance(i + 1)
	return b[:i], true
}
