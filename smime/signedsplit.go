package smime

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// maxSignaturePart bounds the second part of a multipart/signed, in bytes: base64
// of many certificates.
const maxSignaturePart = 4 << 20

// maxPadding bounds the blanks that a gateway may have put behind a boundary.
const maxPadding = 1000

// A signedSplitter takes a multipart/signed body apart (RFC 2046 section 5.1.1,
// RFC 1847 section 2.1): preamble, content, signature, epilogue. Lines may be of
// any length.
type signedSplitter struct {
	delimiter []byte // without the CRLF around it
	content   io.Writer
	signature []byte

	state    splitState
	lines    int  // of the part that is being read
	held     bool // a CRLF that belongs to the delimiter if one follows
	midLine  bool // the last piece did not end its line
	brokenCR bool // the last piece ended in CR
}

type splitState int

const (
	inPreamble splitState = iota
	inContent
	inSignature
	inEpilogue
)

// splitSigned writes the first part, exactly, to content and gives the second.
func splitSigned(r io.Reader, boundary string, content io.Writer) ([]byte, error) {
	if len(boundary) == 0 || len(boundary) > 70 || boundary[len(boundary)-1] == ' ' {
		return nil, &MalformedError{"a multipart/signed without a proper boundary"}
	}
	s := &signedSplitter{delimiter: []byte("--" + boundary), content: content}
	b := bufio.NewReaderSize(r, 16<<10)
	for {
		piece, err := b.ReadSlice('\n')
		if err != nil && err != io.EOF && !errors.Is(err, bufio.ErrBufferFull) {
			return nil, err
		}
		if err := s.take(piece); err != nil {
			return nil, err
		}
		if err == io.EOF {
			break
		}
	}
	if s.state != inEpilogue {
		return nil, &MalformedError{"a multipart/signed that does not end"}
	}
	return s.signature, nil
}

// take reads a line, or a piece of one that is long.
func (s *signedSplitter) take(piece []byte) error {
	if len(piece) == 0 {
		return nil
	}
	text, ended, err := s.lineText(piece)
	if err != nil {
		return err
	}
	first := !s.midLine
	s.midLine = !ended
	if first && bytes.HasPrefix(text, s.delimiter) {
		return s.delimit(text[len(s.delimiter):])
	}
	return s.part(text, first, ended)
}

// lineText takes the line end off a piece, and refuses CR and LF alone.
func (s *signedSplitter) lineText(piece []byte) (text []byte, ended bool, err error) {
	text, ended = bytes.CutSuffix(piece, []byte("\n"))
	if ended {
		var cr bool
		if text, cr = bytes.CutSuffix(text, []byte("\r")); !cr && !(s.brokenCR && len(text) == 0) {
			return nil, false, &MalformedError{"a line feed alone in signed content"}
		}
	}
	if s.brokenCR && !(ended && len(piece) == 1) {
		return nil, false, &MalformedError{"a carriage return alone in signed content"}
	}
	s.brokenCR = false
	if !ended {
		text, s.brokenCR = bytes.CutSuffix(text, []byte("\r"))
	}
	if bytes.IndexByte(text, '\r') >= 0 {
		return nil, false, &MalformedError{"a carriage return alone in signed content"}
	}
	return text, ended, nil
}

// delimit takes a line that begins with the delimiter; rest is what follows.
func (s *signedSplitter) delimit(rest []byte) error {
	long := len(rest) > maxPadding
	rest = bytes.TrimRight(rest, " \t")
	closing := string(rest) == "--"
	switch {
	case len(rest) > 0 && !closing || long:
		return &MalformedError{"a line that begins like the boundary of signed content"}
	case s.state == inEpilogue:
		return &MalformedError{"a boundary behind the end of signed content"}
	case closing != (s.state == inSignature):
		return &MalformedError{"a multipart/signed that has not two parts"}
	case s.state == inContent && s.lines == 0:
		return &MalformedError{"a multipart/signed with an empty first part"}
	}
	s.state++
	s.held, s.lines = false, 0
	return nil
}

// part hands on a piece of a part. Its line end waits for the next line.
func (s *signedSplitter) part(text []byte, first, ended bool) error {
	if first {
		s.lines++
	}
	held := s.held
	s.held = ended
	switch s.state {
	case inContent:
		if held {
			if _, err := s.content.Write([]byte("\r\n")); err != nil {
				return err
			}
		}
		_, err := s.content.Write(text)
		return err
	case inSignature:
		if len(s.signature)+len(text) > maxSignaturePart {
			return &MalformedError{"a signature that is too large"}
		}
		if held {
			s.signature = append(s.signature, "\r\n"...)
		}
		s.signature = append(s.signature, text...)
	}
	return nil
}
