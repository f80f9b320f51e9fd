package smime

import (
	"encoding/base64"
	"errors"
	"io"
)

var errBase64 = errors.New("base64 text is not well-formed")

// A strictBase64 decodes to next what is written to it: the alphabet of
// RFC 4648 section 4 with blanks and line ends anywhere, padded, and nothing
// behind the padding.
type strictBase64 struct {
	next  io.WriteCloser
	chars []byte // that make no full buffer yet
	out   []byte
	ended bool // by padding
}

func newStrictBase64(next io.WriteCloser) *strictBase64 {
	return &strictBase64{next: next, chars: make([]byte, 0, 4096), out: make([]byte, 3072)}
}

func (d *strictBase64) Write(p []byte) (int, error) {
	total := len(p)
	for len(p) > 0 {
		if isSpace(p[0]) {
			p = p[1:]
			continue
		}
		run := p[:min(len(p), cap(d.chars)-len(d.chars))]
		for i, c := range run {
			if isSpace(c) {
				run = run[:i]
				break
			}
		}
		d.chars = append(d.chars, run...)
		p = p[len(run):]
		if len(d.chars) == cap(d.chars) {
			if err := d.decode(); err != nil {
				return 0, err
			}
		}
	}
	return total, nil
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// decode takes all that is collected; padding can only be at its end.
func (d *strictBase64) decode() error {
	if d.ended || len(d.chars)%4 != 0 {
		return errBase64
	}
	n, err := base64.StdEncoding.Strict().Decode(d.out, d.chars)
	if err != nil {
		return errBase64
	}
	d.ended = n < len(d.chars)/4*3
	d.chars = d.chars[:0]
	_, err = d.next.Write(d.out[:n])
	return err
}

func (d *strictBase64) Close() error {
	if len(d.chars) > 0 {
		if err := d.decode(); err != nil {
			return err
		}
	}
	return d.next.Close()
}
