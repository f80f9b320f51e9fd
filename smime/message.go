package smime

import "io"

// Limits bound what [ReadMessage] takes as a header. The zero value of a field
// is its default.
//
// There is no limit on nesting because nothing here descends into a
// multipart: an entity is sealed whole, and [Proof] looks at one level only.
type Limits struct {
	HeaderBytes int // bytes of the header with its blank line; default 256 KiB
	Fields      int // default 1000
}

const (
	defaultHeaderBytes = 256 << 10
	defaultFields      = 1000
)

func (l Limits) orDefault() Limits {
	if l.HeaderBytes <= 0 {
		l.HeaderBytes = defaultHeaderBytes
	}
	if l.Fields <= 0 {
		l.Fields = defaultFields
	}
	return l
}

// A Message is a header that was read and a body that is still to come.
type Message struct {
	Header *Header
	Body   io.Reader // everything behind the header's blank line; an io.WriterTo, for bulk
}

// A MalformedError says that a message cannot be sealed without a guess at
// what it means. It names fields, never what is in them.
type MalformedError struct {
	Text string // fit for the client that sent the message
}

// Error is the text.
func (e *MalformedError) Error() string { return e.Text }

// ReadMessage reads the header of a message from r and leaves the rest to
// Message.Body. Lines end in CRLF; see [Canonical] for files.
//
// A field is a name of RFC 5322 ftext, optional blanks (section 4.5.8) and a
// colon, with the lines that continue it. The header ends
//
//   - at the blank line, which belongs to neither side;
//   - at the end of the message: the body is empty;
//   - before a line that is neither a field nor a continuation. That line and
//     everything behind it is body, as Postfix and Sendmail have it, so that
//     it is sealed and not sent in the clear. A message whose first line is
//     such a line has an empty header.
//
// Bytes beyond ASCII are kept. A [*MalformedError] is returned for what has no
// safe reading: a header past its limits, one that begins with a continuation
// line or with an mbox "From " line (it may just as well be the first line of
// a body without header), NUL, CR or LF alone within a field, and two
// Content-Type or two Content-Transfer-Encoding fields. Other errors are r's.
func ReadMessage(r io.Reader, lim Limits) (*Message, error) {
	s := splitter{src: r, lim: lim.orDefault()}
	if err := s.run(); err != nil {
		return nil, err
	}
	h := &Header{raw: string(s.buf[:s.end]), spans: s.spans}
	for _, name := range []string{"Content-Type", "Content-Transfer-Encoding"} {
		if h.Count(name) > 1 {
			return nil, &MalformedError{"message has two " + name + " fields"}
		}
	}
	return &Message{Header: h, Body: &body{read: s.buf[s.end:], src: r, first: s.first}}, nil
}

// A body is what was read past the header, and then the source itself.
type body struct {
	read  []byte
	src   io.Reader
	first *[firstRead]byte // given back once read is empty; nil after that
}

func (b *body) Read(p []byte) (int, error) {
	if len(b.read) == 0 {
		b.release()
		return b.src.Read(p)
	}
	n := copy(p, b.read)
	b.read = b.read[n:]
	return n, nil
}

func (b *body) release() {
	if b.first != nil {
		firstReads.Put(b.first)
		b.first = nil
	}
}

// WriteTo hands the bytes on in the pieces in which they came.
func (b *body) WriteTo(w io.Writer) (int64, error) {
	var total int64
	if len(b.read) > 0 {
		n, err := w.Write(b.read)
		total = int64(n)
		b.read = b.read[n:]
		if err != nil {
			return total, err
		}
	}
	b.release()
	n, err := copyAll(w, b.src)
	return total + n, err
}
