package smime

import (
	"bytes"
	"fmt"
	"io"
	"sync"
)

// firstRead is the buffer that most headers fit into, with the beginning of
// the body.
const firstRead = 8 << 10

// firstReads keeps such buffers. They hold plaintext: always write before
// reading.
var firstReads = sync.Pool{New: func() any { return new([firstRead]byte) }}

// A splitter finds the fields of a header and where it ends. What it decides
// depends on the bytes alone, never on the pieces in which they arrive.
type splitter struct {
	src   io.Reader
	lim   Limits
	buf   []byte
	first *[firstRead]byte // what buf began with
	eof   bool
	spans []span
	end   int // of the header, with its blank line
}

func (s *splitter) run() error {
	s.spans = make([]span, 0, 24)
	for {
		end, err := s.lineEnd()
		if err != nil {
			return err
		}
		line := s.buf[s.end:end]
		if s.eof && len(line) == 0 && end == len(s.buf) {
			return nil
		}
		if string(line) == "\r\n" {
			s.end = end
			return nil
		}
		cut := !bytes.HasSuffix(line, []byte("\n")) && !(s.eof && end == len(s.buf))
		isHeader, err := s.take(line, cut)
		if err != nil || !isHeader {
			return err
		}
	}
}

// take adds a line to the header, or reports false for one that belongs to
// the body. A line that the limit cut is taken for body only if no rest of it
// could make it header.
func (s *splitter) take(line []byte, cut bool) (bool, error) {
	switch name, ok := fieldName(line); {
	case len(line) > 0 && (line[0] == ' ' || line[0] == '\t'):
		if s.end == 0 {
			return false, &MalformedError{"message begins with a continuation line"}
		}
	case ok && len(s.spans) == s.lim.Fields:
		return false, &MalformedError{fmt.Sprintf("message header has more than %d fields", s.lim.Fields)}
	case ok:
		s.spans = append(s.spans, span{start: s.end, name: s.end + name})
	case s.end == 0 && bytes.HasPrefix(line, []byte("From ")):
		return false, &MalformedError{"message begins with an mbox From line"}
	case cut && (name == len(line) || string(line) == "\r"):
		return false, s.tooLong()
	default:
		return false, nil
	}
	if cut {
		return false, s.tooLong()
	}
	s.end += len(line)
	s.spans[len(s.spans)-1].end = s.end
	return true, checkLine(line)
}

// lineEnd finds the end of the line that begins at s.end. The last line of a
// message may lack its CRLF; a line that runs past the limit is cut there.
func (s *splitter) lineEnd() (int, error) {
	searched := s.end
	for {
		seen := min(len(s.buf), s.lim.HeaderBytes)
		if i := bytes.IndexByte(s.buf[searched:seen], '\n'); i >= 0 {
			return searched + i + 1, nil
		}
		searched = seen
		if s.eof || len(s.buf) > s.lim.HeaderBytes {
			return seen, nil
		}
		if err := s.fill(); err != nil {
			return 0, err
		}
	}
}

func (s *splitter) tooLong() error {
	return &MalformedError{fmt.Sprintf("message header is longer than %d bytes", s.lim.HeaderBytes)}
}

// fill reads once more from the source.
func (s *splitter) fill() error {
	if s.buf == nil {
		s.first = firstReads.Get().(*[firstRead]byte)
		s.buf = s.first[:0]
	}
	if len(s.buf) == cap(s.buf) {
		bigger := make([]byte, len(s.buf), 2*cap(s.buf))
		copy(bigger, s.buf)
		s.buf = bigger
	}
	for range 100 {
		n, err := s.src.Read(s.buf[len(s.buf):cap(s.buf)])
		s.buf = s.buf[:len(s.buf)+n]
		if err == io.EOF {
			s.eof = true
			return nil
		}
		if n > 0 || err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}

// fieldName gives the length of the field name that a line begins with, and
// whether a colon follows. Names are ftext (RFC 5322 section 3.6.8); the blanks
// that section 4.5.8 allows before the colon are not counted, except where
// nothing follows them.
func fieldName(line []byte) (length int, ok bool) {
	for length < len(line) && line[length] > ' ' && line[length] < 0x7f && line[length] != ':' {
		length++
	}
	rest := bytes.TrimLeft(line[length:], " \t")
	if len(rest) == 0 {
		return len(line), false
	}
	return length, length > 0 && rest[0] == ':'
}

// checkLine refuses what another server could read as a line end, or as the
// end of a string: the header goes out as it came.
func checkLine(line []byte) error {
	text, ended := bytes.CutSuffix(line, []byte("\r\n"))
	switch {
	case bytes.IndexByte(text, 0) >= 0:
		return &MalformedError{"message has a NUL character in its header"}
	case bytes.IndexByte(text, '\r') >= 0:
		return &MalformedError{"message has a bare carriage return in its header"}
	case !ended && bytes.IndexByte(text, '\n') >= 0:
		return &MalformedError{"message has a bare line feed in its header"}
	}
	return nil
}
