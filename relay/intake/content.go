package intake

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"sealpost/internal/reason"
	"sealpost/relay/reply"
)

// A source gives the content of a message in stretches.
type source interface {
	// next gives the next stretch, valid until the following call, and whether
	// it is clean: no bare CR, no bare LF, no NUL. A stretch never ends between
	// a CR and its LF. The error is io.EOF at the true end of the message only.
	next() (stretch []byte, clean bool, err error)
	// skip reads away what the client has still to send before it may be
	// answered.
	skip() error
}

// content is the message as the handler reads it.
type content struct {
	source    source
	normalize bool
	limit     int64
	size      int64  // handed out, or about to be
	left      []byte // of the current stretch
	err       error  // sticky; io.EOF: the message came in whole
	lost      error  // why the connection cannot go on
	scratch   []byte // for Normalize
}

func (c *conn) newContent(s source) *content {
	return &content{source: s, normalize: c.opts.BareNewline == Normalize, limit: c.opts.Limits.MessageSize}
}

// Read implements io.Reader.
func (m *content) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if len(m.left) == 0 {
		if err := m.advance(); err != nil {
			return 0, err
		}
	}
	n := copy(p, m.left)
	m.left = m.left[n:]
	return n, nil
}

// WriteTo implements io.WriterTo: stretches go to w as they stand in the
// connection's buffer.
func (m *content) WriteTo(w io.Writer) (int64, error) {
	var total int64
	for {
		if len(m.left) == 0 {
			if err := m.advance(); err == io.EOF {
				return total, nil
			} else if err != nil {
				return total, err
			}
		}
		n, err := w.Write(m.left)
		total += int64(n)
		m.left = m.left[n:]
		if err != nil {
			return total, err
		}
	}
}

// advance makes the next stretch the current one. It is never empty without
// an error.
func (m *content) advance() error {
	for len(m.left) == 0 && m.err == nil {
		stretch, clean, err := m.source.next()
		switch {
		case err == io.EOF:
			m.err = io.EOF
		case err != nil:
			m.err, m.lost = err, err
		case clean:
			m.left = stretch
		case m.normalize && bytes.IndexByte(stretch, 0) < 0:
			m.scratch = appendNormalized(m.scratch[:0], stretch)
			m.left = m.scratch
		default:
			m.err = errBareNewline
		}
		if m.size += int64(len(m.left)); m.err == nil && m.size > m.limit {
			m.err = errTooLarge(m.limit)
		}
	}
	if m.err != nil {
		m.left = nil
	}
	return m.err
}

// finish reads to where the client may be answered and says what intake
// itself has to say: nil when the handler's word holds.
func (m *content) finish() *reply.Error {
	m.left = nil
	if m.err != io.EOF && m.lost == nil {
		if err := m.source.skip(); err != nil {
			m.lost = err
		}
	}
	var e *reply.Error
	if errors.As(m.err, &e) {
		return e
	}
	if m.err == nil {
		m.err = errGone // the handler must not read on
	}
	return nil
}

// whole reports that the handler has seen the end of the message.
func (m *content) whole() bool { return m.err == io.EOF }

func errTooLarge(limit int64) *reply.Error {
	return refusal(552, reply.Enhanced{5, 3, 4}, reason.MessageTooLarge,
		fmt.Sprintf("Message exceeds the limit of %d octets", limit))
}

var (
	crByte = []byte{'\r'}
	crlf   = []byte{'\r', '\n'}
)

// scanLines measures the stretch at the beginning of w that can be judged
// without more octets, and whether it is clean. At stopAtDot it ends before a
// line that begins with a dot. A final CR stays outside, because its LF may
// be yet to come.
//
// The work is done by searches that use the machine's vector instructions:
// one pass for LF with a look at its neighbours, and two passes that count CR
// and look for NUL.
func scanLines(w []byte, stopAtDot bool) (n int, clean bool) {
	lines, pairs := 0, 0
	for n < len(w) {
		i := bytes.IndexByte(w[n:], '\n')
		if i < 0 {
			n = len(w)
			break
		}
		n += i + 1
		lines++
		if n < 2 || w[n-2] != '\r' {
			continue
		}
		pairs++
		if stopAtDot && n < len(w) && w[n] == '.' {
			break
		}
	}
	if n > 0 && w[n-1] == '\r' {
		n--
	}
	clean = lines == pairs && bytes.Count(w[:n], crByte) == pairs && bytes.IndexByte(w[:n], 0) < 0
	return n, clean
}

// appendNormalized writes b with CRLF for each CR and LF that stands alone.
func appendNormalized(dst, b []byte) []byte {
	for i := 0; i < len(b); i++ {
		switch {
		case b[i] == '\r':
			if i+1 < len(b) && b[i+1] == '\n' {
				i++
			}
			dst = append(dst, crlf...)
		case b[i] == '\n':
			dst = append(dst, crlf...)
		default:
			dst = append(dst, b[i])
		}
	}
	return dst
}
