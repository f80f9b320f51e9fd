package ldap

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	"github.com/go-ldap/ldap/v3"
)

// What is wrong with what a server sends.
var (
	ErrTooLarge   = errors.New("the answer is too large")
	ErrMalformed  = errors.New("the server does not speak LDAP, or the connection is damaged")
	ErrDisconnect = errors.New("the server announced that it closes the connection")
	ErrUnasked    = errors.New("the server sent what nobody asked for")
)

const (
	// maxElements bounds the elements of one answer: go-ldap makes an object of
	// some 300 bytes of each, were it only two bytes long.
	maxElements = 1 << 14
	// maxDepth is more than any answer needs: a value stands six deep. go-ldap
	// copies the content once for each level.
	maxDepth = 8
)

// A guard stands between go-ldap and the connection, above TLS. It hands on
// whole LDAP messages (RFC 4511 section 4.1.1) that were asked for and are
// within bounds, and nothing else: after the first other byte it only gives
// errors.
type guard struct {
	net.Conn
	in      *bufio.Reader
	message bytes.Buffer // being handed on

	mu       sync.Mutex
	bytes    int // that may still come
	elements int // that may still come
	id       int // of the request that is being answered
	err      error
}

func newGuard(c net.Conn) *guard { return &guard{Conn: c, in: bufio.NewReader(c)} }

// expect lets an answer of this size come. With 0, the connection is idle, and
// a server that says anything is no longer listened to.
func (g *guard) expect(bytes int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.bytes, g.elements = bytes, maxElements
}

// Write passes on a request, which go-ldap writes in one piece, and remembers
// its id, and whether it failed.
func (g *guard) Write(p []byte) (int, error) {
	if header, _, err := readElement(bytes.NewReader(p)); err == nil {
		id, _ := messageID(p[len(header):])
		g.mu.Lock()
		g.id = id
		g.mu.Unlock()
	}
	n, err := g.Conn.Write(p)
	if err != nil {
		g.fail(err)
	}
	return n, err
}

// fail keeps the first error.
func (g *guard) fail(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.err == nil {
		g.err = err
	}
}

// problem is why the guard gives errors.
func (g *guard) problem() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.err
}

// Read hands on the next message.
func (g *guard) Read(p []byte) (int, error) {
	if g.message.Len() == 0 {
		if err := g.next(); err != nil {
			return 0, err
		}
	}
	return g.message.Read(p)
}

func (g *guard) next() error {
	if err := g.problem(); err != nil {
		return err
	}
	header, length, err := readHeader(g.in)
	if err == nil {
		err = g.take(len(header) + length)
	}
	if err == nil {
		g.message.Reset()
		g.message.Write(header)
		_, err = io.CopyN(&g.message, g.in, int64(length))
	}
	if err == nil {
		err = g.look(g.message.Bytes()[len(header):])
	}
	if err == io.ErrUnexpectedEOF {
		err = io.EOF
	}
	if err != nil {
		g.message.Reset()
		g.fail(err)
	}
	return err
}

// take counts a message before it is read.
func (g *guard) take(n int) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.bytes == 0:
		return ErrUnasked
	case n > g.bytes:
		return ErrTooLarge
	}
	g.bytes = max(g.bytes-n, 1) // used up is not idle
	return nil
}

// messageID reads the first element of a message, INTEGER (0 .. 2^31-1), and
// gives the rest.
func messageID(message []byte) (id int, rest []byte) {
	if len(message) < 3 || message[0] != 0x02 || message[1] < 1 || message[1] > 4 || len(message) < 2+int(message[1]) {
		return -1, nil
	}
	rest = message[2+message[1]:]
	for _, b := range message[2 : 2+message[1]] {
		id = id<<8 | int(b)
	}
	return id, rest
}

// look reads the structure of a message, but for its outermost header. The one
// that ends the answer also ends what may come.
func (g *guard) look(message []byte) error {
	id, operation := messageID(message)
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case id < 0 || len(operation) == 0:
		return ErrMalformed
	case id == 0: // RFC 4511 section 4.4
		return ErrDisconnect
	case id != g.id:
		return ErrUnasked
	}
	switch operation[0] & 0x1f {
	case ldap.ApplicationSearchResultEntry, ldap.ApplicationSearchResultReference, ldap.ApplicationIntermediateResponse:
	default:
		g.bytes = 0
	}
	return countElements(message, 1, &g.elements)
}

// countElements walks over BER elements of definite length, which is the only
// kind that LDAP has (RFC 4511 section 5.1), and takes each off left.
func countElements(in []byte, depth int, left *int) error {
	if depth > maxDepth {
		return ErrMalformed
	}
	r := bytes.NewReader(nil)
	for len(in) > 0 {
		if *left--; *left < 0 {
			return ErrTooLarge
		}
		r.Reset(in)
		header, length, err := readElement(r)
		if err != nil || length > len(in)-len(header) {
			return ErrMalformed
		}
		end := len(header) + length
		if header[0]&0x20 != 0 {
			if err := countElements(in[len(header):end], depth+1, left); err != nil {
				return err
			}
		}
		in = in[end:]
	}
	return nil
}

// readHeader reads the outermost header of a message, and not a byte more.
func readHeader(r io.ByteReader) (header []byte, length int, err error) {
	header, length, err = readElement(r)
	if err == nil && header[0] != 0x30 {
		err = ErrMalformed
	}
	return header, length, err
}

// readElement reads tag and length of one element. The error is ErrMalformed,
// io.EOF when there is nothing, or another of r.
func readElement(r io.ByteReader) (header []byte, length int, err error) {
	header = make([]byte, 0, 6)
	read := func() (b byte) {
		if err == nil {
			b, err = r.ReadByte()
			header = append(header, b)
		}
		return b
	}
	tag, first := read(), read()
	if err != nil {
		return nil, 0, err
	}
	if tag&0x1f == 0x1f { // a tag of several bytes: LDAP has none
		return nil, 0, ErrMalformed
	}
	length = int(first)
	if first >= 0x80 {
		size := first & 0x7f
		if size == 0 || size > 4 {
			return nil, 0, ErrMalformed
		}
		length = 0
		for range size {
			length = length<<8 | int(read())
		}
	}
	if err == nil && length > 1<<30 {
		err = ErrTooLarge
	}
	return header, length, err
}

// readMessage reads one message from a connection without reading on, for what
// comes before TLS.
func readMessage(c net.Conn, most int) ([]byte, error) {
	header, length, err := readHeader(oneByte{c})
	if err != nil {
		return nil, err
	}
	if length > most {
		return nil, ErrTooLarge
	}
	message := append(header, make([]byte, length)...)
	if _, err := io.ReadFull(c, message[len(header):]); err != nil {
		return nil, fmt.Errorf("the answer breaks off: %w", err)
	}
	left := maxElements
	return message, countElements(message, 0, &left)
}

// oneByte reads single bytes without a buffer.
type oneByte struct{ io.Reader }

// ReadByte implements io.ByteReader.
func (r oneByte) ReadByte() (byte, error) {
	var b [1]byte
	_, err := io.ReadFull(r.Reader, b[:])
	return b[0], err
}
