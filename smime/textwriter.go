package smime

import "io"

// A textWriter writes a header as it is and then bytes as base64 in lines, to
// w in large writes. Text that was encoded before can be put in between.
type textWriter struct {
	w       io.Writer
	block   *[blockSize]byte
	out     []byte // filled part of block
	column  int    // characters in the line that is open
	pending [3]byte
	nPend   int // bytes short of a quantum of three
	pairs   *[1 << 12]uint16
	written int64
}

func newTextWriter(w io.Writer) *textWriter {
	block := blocks.Get().(*[blockSize]byte)
	return &textWriter{w: w, block: block, out: block[:0], pairs: pairs()}
}

// release gives the buffer back. The writer must not be used after it.
func (t *textWriter) release() {
	blocks.Put(t.block)
	t.block, t.out = nil, nil
}

// header writes p as it is; before any Write.
func (t *textWriter) header(p []byte) error {
	for len(p) > 0 {
		n := copy(t.block[len(t.out):], p)
		t.out, p = t.block[:len(t.out)+n], p[n:]
		if err := t.room(lineText); err != nil {
			return err
		}
	}
	return nil
}

// room makes sure that n more bytes fit into the buffer.
func (t *textWriter) room(n int) error {
	if blockSize-len(t.out) >= n {
		return nil
	}
	return t.flush()
}

func (t *textWriter) flush() error {
	n, err := t.w.Write(t.out)
	t.written += int64(n)
	if err == nil && n < len(t.out) {
		err = io.ErrShortWrite
	}
	t.out = t.block[:0]
	return err
}

// Write encodes p.
func (t *textWriter) Write(p []byte) (int, error) {
	total := len(p)
	if t.nPend > 0 {
		n := copy(t.pending[t.nPend:], p)
		t.nPend, p = t.nPend+n, p[n:]
		if t.nPend < 3 {
			return total, nil
		}
		t.nPend = 0
		if err := t.quanta(t.pending[:]); err != nil {
			return 0, err
		}
	}
	if rest := (lineChars - t.column) / 4 * 3; t.column > 0 && len(p) >= rest {
		if err := t.quanta(p[:rest]); err != nil {
			return 0, err
		}
		p = p[rest:]
	}
	for len(p) >= lineBytes {
		n, err := t.lines(p)
		if err != nil {
			return 0, err
		}
		p = p[n:]
	}
	whole := len(p) / 3 * 3
	t.nPend = copy(t.pending[:], p[whole:])
	return total, t.quanta(p[:whole])
}

// lines encodes as many whole lines as the buffer takes, from the beginning of
// a line.
func (t *textWriter) lines(p []byte) (int, error) {
	if err := t.room(lineText); err != nil {
		return 0, err
	}
	n := min((blockSize-len(t.out))/lineText, len(p)/lineBytes)
	out := t.block[len(t.out):]
	for i := range n {
		line := out[i*lineText:][:lineText]
		encode(line[:lineChars], p[i*lineBytes:][:lineBytes], t.pairs)
		line[lineChars], line[lineChars+1] = '\r', '\n'
	}
	t.out = t.block[:len(t.out)+n*lineText]
	return n * lineBytes, nil
}

// quanta encodes a multiple of three bytes that fits into the open line, or
// into one new line.
func (t *textWriter) quanta(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	if err := t.room(lineText); err != nil {
		return err
	}
	chars := len(p) / 3 * 4
	encode(t.block[len(t.out):][:chars], p, t.pairs)
	t.out = t.block[:len(t.out)+chars]
	t.advance(chars)
	return nil
}

// text writes base64 characters that were encoded elsewhere; between two
// quanta only.
func (t *textWriter) text(p []byte) error {
	for len(p) > 0 {
		if err := t.room(lineText); err != nil {
			return err
		}
		if t.column > 0 || len(p) < lineChars {
			n := min(lineChars-t.column, len(p))
			t.out = append(t.out, p[:n]...)
			t.advance(n)
			p = p[n:]
			continue
		}
		n := min((blockSize-len(t.out))/lineText, len(p)/lineChars)
		out := t.block[len(t.out):]
		for i := range n {
			line := out[i*lineText:][:lineText]
			copy(line[:lineChars], p[i*lineChars:][:lineChars])
			line[lineChars], line[lineChars+1] = '\r', '\n'
		}
		t.out, p = t.block[:len(t.out)+n*lineText], p[n*lineChars:]
	}
	return nil
}

// advance notes characters of the open line and ends it when it is full; there
// is room for that.
func (t *textWriter) advance(chars int) {
	t.column += chars
	if t.column == lineChars {
		t.out = append(t.out, "\r\n"...)
		t.column = 0
	}
}

// Close pads, ends the last line and writes what is left.
func (t *textWriter) Close() error {
	if err := t.room(lineText); err != nil {
		return err
	}
	if t.nPend > 0 {
		t.out = appendBase64(t.out, t.pending[:t.nPend])
		t.column += 4
	}
	if t.column > 0 {
		t.out = append(t.out, "\r\n"...)
	}
	return t.flush()
}
