package smime

import (
	"bytes"
	"errors"
	"mime"
	"strings"
)

// Bounds of what a PGP/MIME message has beside its ciphertext.
const (
	maxMIMELine   = 998     // RFC 5322 section 2.1.1
	maxPartHeader = 8 << 10 // bytes
)

var (
	errPGPStructure = errors.New("not the two parts of RFC 3156 and nothing else")
	errPGPHeader    = errors.New("a part's header is not that of RFC 3156")
	errPGPVersion   = errors.New("the first part is not Version: 1")
)

// A pgpExaminer accepts the body of a multipart/encrypted message (RFC 3156
// section 4): a part that says "Version: 1", a part with one armored OpenPGP
// message, and nowhere any other text, since that would be in the clear.
type pgpExaminer struct {
	lines     lineCutter
	delimiter []byte // without the CRLF around it
	state     func(line []byte) error
	header    []byte // of the part that is being read
	version   bool   // Version: 1 was seen
	armor     *armorExaminer
	closed    bool // the closing delimiter was seen
}

func newPGPExaminer(h *Header) *pgpExaminer {
	_, params, _ := mime.ParseMediaType(h.Get("Content-Type")) // parsed well for Claims
	e := &pgpExaminer{delimiter: []byte("--" + params["boundary"]), armor: newArmorExaminer()}
	e.state = e.preamble
	e.lines.take = e.line
	return e
}

func (e *pgpExaminer) Write(p []byte) (int, error) { return e.lines.Write(p) }

// Close reports whether the message was complete.
func (e *pgpExaminer) Close() error {
	if err := e.lines.Close(); err != nil {
		return err
	}
	if !e.closed {
		return errPGPStructure
	}
	return nil
}

func (e *pgpExaminer) line(line []byte) error { return e.state(line) }

// delimits tells a delimiter line, and whether it is the closing one
// (RFC 2046 section 5.1.1).
func (e *pgpExaminer) delimits(line []byte) (is, closing bool) {
	rest, is := bytes.CutPrefix(bytes.TrimRight(line, " \t"), e.delimiter)
	return is && (len(rest) == 0 || string(rest) == "--"), string(rest) == "--"
}

func isBlank(line []byte) bool { return len(bytes.Trim(line, " \t")) == 0 }

func (e *pgpExaminer) preamble(line []byte) error {
	if is, closing := e.delimits(line); is && !closing {
		e.state = e.firstHeader
		return nil
	}
	if !isBlank(line) {
		return errPGPStructure
	}
	return nil
}

func (e *pgpExaminer) firstHeader(line []byte) error {
	done, err := e.collect(line, "application/pgp-encrypted")
	if done {
		e.state = e.firstBody
	}
	return err
}

func (e *pgpExaminer) firstBody(line []byte) error {
	if is, closing := e.delimits(line); is {
		if closing || !e.version {
			return errPGPVersion
		}
		e.state = e.secondHeader
		return nil
	}
	if isBlank(line) {
		return nil
	}
	name, value, _ := strings.Cut(string(line), ":")
	if e.version || !strings.EqualFold(name, "Version") || strings.Trim(value, " \t") != "1" {
		return errPGPVersion
	}
	e.version = true
	return nil
}

func (e *pgpExaminer) secondHeader(line []byte) error {
	done, err := e.collect(line, "application/octet-stream")
	if done {
		e.state = e.secondBody
	}
	return err
}

// secondBody has the armor, up to the closing delimiter.
func (e *pgpExaminer) secondBody(line []byte) error {
	is, closing := e.delimits(line)
	if !is {
		return e.armor.line(line)
	}
	if !closing || !e.armor.complete() {
		return errPGPStructure
	}
	e.closed = true
	e.state = e.epilogue
	return nil
}

func (e *pgpExaminer) epilogue(line []byte) error {
	if !isBlank(line) {
		return errPGPStructure
	}
	return nil
}

// collect gathers a part's header and checks it at its blank line: fields
// about the content only, the right type, and no transfer encoding that would
// hide the body from this examination.
func (e *pgpExaminer) collect(line []byte, want string) (done bool, err error) {
	e.header = append(append(e.header, line...), "\r\n"...)
	if len(e.header) > maxPartHeader {
		return false, errPGPHeader
	}
	if len(line) > 0 {
		return false, nil
	}
	m, err := ReadMessage(bytes.NewReader(e.header), Limits{})
	if err != nil || len(m.Header.Raw()) != len(e.header) {
		return false, errPGPHeader
	}
	e.header = e.header[:0]
	for f := range m.Header.Fields() {
		if !hasPrefixFold(f.Name, "Content-") {
			return false, errPGPHeader
		}
	}
	kind, _, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != want || !isIdentity(transferEncoding(m.Header)) {
		return false, errPGPHeader
	}
	return true, nil
}

// A lineCutter hands on lines without their CRLF, each in one piece.
type lineCutter struct {
	take func(line []byte) error
	buf  []byte
}

var errLine = errors.New("a line is too long or does not end in CRLF")

func (c *lineCutter) Write(p []byte) (int, error) {
	total := len(p)
	for len(p) > 0 {
		i := bytes.IndexByte(p, '\n') + 1
		if i == 0 {
			i = len(p)
		}
		if len(c.buf)+i > maxMIMELine+2 {
			return 0, errLine
		}
		c.buf = append(c.buf, p[:i]...)
		if p[i-1] == '\n' {
			if err := c.cut(); err != nil {
				return 0, err
			}
		}
		p = p[i:]
	}
	return total, nil
}

func (c *lineCutter) cut() error {
	line, ok := bytes.CutSuffix(c.buf, []byte("\r\n"))
	if !ok || bytes.IndexByte(line, '\r') >= 0 {
		return errLine
	}
	c.buf = c.buf[:0]
	return c.take(line)
}

// Close hands on a last line that has no line end.
func (c *lineCutter) Close() error {
	if len(c.buf) == 0 {
		return nil
	}
	if bytes.IndexByte(c.buf, '\r') >= 0 {
		return errLine
	}
	return c.take(c.buf)
}
