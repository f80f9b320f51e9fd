package importer

import (
	"bufio"
	"errors"
	"io"
)

// maxLine bounds one line of a text file, in bytes: base64 without line breaks
// of the largest certificate, and some.
const maxLine = 1 << 20

var errLine = errors.New("has a line of more than 1 MiB")

// lines reads lines without their ends, and counts them.
type lines struct {
	r *bufio.Reader
	n int // number of the line that next gave
}

// next gives the next line; it is good until the next call. The error is
// io.EOF at the end, or errLine.
func (l *lines) next() ([]byte, error) {
	line, err := l.r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		long := append([]byte(nil), line...)
		for errors.Is(err, bufio.ErrBufferFull) && len(long) <= maxLine {
			line, err = l.r.ReadSlice('\n')
			long = append(long, line...)
		}
		if len(long) > maxLine {
			return nil, errLine
		}
		line = long
	}
	if err != nil && (!errors.Is(err, io.EOF) || len(line) == 0) {
		return nil, err
	}
	l.n++
	return trimEnd(line), nil
}

func trimEnd(line []byte) []byte {
	for len(line) > 0 && (line[len(line)-1] == '\n' || line[len(line)-1] == '\r') {
		line = line[:len(line)-1]
	}
	return line
}
