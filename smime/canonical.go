package smime

import (
	"bytes"
	"io"
)

// Canonical gives r with CRLF for every line feed that no carriage return
// precedes: the canonical form of text (RFC 8551 section 3.1.1) of a message
// from a file. A carriage return alone is data and stays; ReadMessage refuses
// it in a header. What is canonical already comes out unchanged.
//
// A message that came over SMTP is canonical, and a part of it in transfer
// encoding "binary" may hold line feeds that mean something else: Canonical is
// for files only.
func Canonical(r io.Reader) io.Reader { return &canonical{src: r} }

type canonical struct {
	src     io.Reader
	in      []byte // read and not yet given
	buf     []byte
	afterCR bool // the last byte given was CR
	err     error

	headerOnly bool // change nothing behind the first blank line
	column     int  // bytes given of the line that is open
	done       bool // past that blank line
}

func (c *canonical) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if c.buf == nil {
		c.buf = make([]byte, 32<<10)
	}
	for len(c.in) == 0 {
		if c.err != nil {
			return 0, c.err
		}
		var n int
		n, c.err = c.src.Read(c.buf)
		c.in = c.buf[:n]
	}
	return c.give(p), nil
}

// give moves bytes to p, which has room for one at least.
func (c *canonical) give(p []byte) int {
	n := 0
	for n < len(p) && len(c.in) > 0 {
		if c.done {
			k := copy(p[n:], c.in)
			c.in = c.in[k:]
			return n + k
		}
		if c.in[0] == '\n' {
			if !c.afterCR {
				p[n], c.afterCR = '\r', true // the LF follows in the next round
				c.column++
				n++
				continue
			}
			p[n], c.afterCR = '\n', false
			c.done = c.headerOnly && c.column == 1
			c.column = 0
			c.in = c.in[1:]
			n++
			continue
		}
		n += c.giveLine(p[n:])
	}
	return n
}

// giveLine moves bytes up to the next LF.
func (c *canonical) giveLine(p []byte) int {
	line := c.in
	if i := bytes.IndexByte(line, '\n'); i >= 0 {
		line = line[:i]
	}
	k := copy(p, line)
	c.in = c.in[k:]
	c.afterCR = p[k-1] == '\r'
	c.column += k
	return k
}
