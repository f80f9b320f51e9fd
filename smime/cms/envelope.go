package cms

import (
	"bytes"
	"errors"
)

// An envelope reads a message piece by piece: the small parts into memory, the
// content to a function. What it read is structure only; the
// parts mean nothing yet.
type envelope struct {
	parts   [partCount][]byte    // each an element in DER
	types   []contentType        // that are read
	size    int64                // octets of content
	content func(p []byte) error // takes the content
	found   bool                 // there was a content, be it an empty one
	item    func(part, []byte)   // takes the elements of lists as they are; nil for one that is too large
	parser  berParser            //
	levels  [maxDepth + 1]*level // the fields being read, from the outermost
	depth   int                  // of levels
	current part                 // being captured
	name    string               // of the field being read, for errors
	capture capture              //
	inside  int                  // nesting inside the content
	skim    int                  // nesting inside an element that passes by as it is
	err     error                // sticky
}

// A level is a SEQUENCE being read.
type level struct {
	name   string
	fields []field // still to come
	list   *field  // or any number of elements, all of this kind
	items  int     // of them until now
}

func newEnvelope(content func(p []byte) error, types ...contentType) *envelope {
	e := &envelope{content: content, types: types, name: "ContentInfo"}
	e.parser.handler = e
	e.push("message", contentInfo)
	return e
}

// authenticated tells AuthEnvelopedData from EnvelopedData.
func (e *envelope) authenticated() bool {
	return bytes.Equal(e.parts[partType], oidDER(oidAuthEnvelopedData))
}

// Write reads the next piece. The first error stays.
func (e *envelope) Write(p []byte) (int, error) {
	if e.err != nil {
		return 0, e.err
	}
	before := e.parser.pos
	if err := e.parser.parse(p); err != nil {
		e.err = e.locate(err)
	}
	return int(e.parser.pos - before), e.err
}

// finish says whether the message is complete.
func (e *envelope) finish() error {
	if e.err == nil && !e.parser.done {
		e.err = e.locate(malformed("", "the message ends too early"))
	}
	return e.err
}

// locate completes a FormatError with where it happened.
func (e *envelope) locate(err error) error {
	var format *FormatError
	if errors.As(err, &format) {
		if format.Field == "" {
			format.Field = e.name
		}
		format.Offset = e.parser.pos
	}
	return err
}

func (e *envelope) push(name string, fields []field) {
	e.levels[e.depth] = &level{name: name, fields: fields}
	e.depth++
}

func (e *envelope) pushList(f *field) {
	e.levels[e.depth] = &level{name: f.name, list: f}
	e.depth++
}

// begin, octets and end make envelope a berHandler.

func (e *envelope) begin(tag byte) error {
	switch {
	case e.capture.active():
		return e.capture.begin(tag)
	case e.inside > 0:
		return e.beginSegment(tag)
	case e.skim > 0:
		e.skim++
		e.parser.opaque = true
		return nil
	}
	f, err := e.next(tag)
	if err != nil {
		return err
	}
	e.name = f.name
	switch {
	case f.list:
		e.pushList(f)
	case f.part != partNone:
		e.current = f.part
		e.capture.reset(f.max)
		return e.capture.begin(tag)
	case f.content:
		e.inside, e.found = 1, true
	case f.skip:
		e.skim = 1
		e.parser.skim(f.max)
	case f.choice:
		e.push(f.name, e.chosen())
	default:
		e.push(f.name, f.inside)
	}
	return nil
}

// next finds the field that an element with this tag is, and takes it and the
// optional ones before it off the list.
func (e *envelope) next(tag byte) (*field, error) {
	l := e.levels[e.depth-1]
	if l.list != nil {
		return l.next()
	}
	for len(l.fields) > 0 {
		f := &l.fields[0]
		l.fields = l.fields[1:]
		if tag == f.tag || tag == f.alt {
			return f, nil
		}
		if !f.optional {
			return nil, malformed(f.name, "expected here, but found tag %#02x", tag)
		}
	}
	return nil, malformed(l.name, "unexpected element with tag %#02x at its end", tag)
}

// next takes one more element of a list. Its tag is the reader's to look at.
func (l *level) next() (*field, error) {
	if l.items++; l.items > l.list.count {
		return nil, malformed(l.name, "more than %d elements", l.list.count)
	}
	return &field{name: l.name, skip: true, max: l.list.max}, nil
}

// chosen is what the content type says follows; nil for one that is not read.
func (e *envelope) chosen() []field {
	for _, t := range e.types {
		if bytes.Equal(e.parts[partType], oidDER(t.oid)) {
			return t.fields
		}
	}
	return nil
}

func (e *envelope) octets(p []byte) error {
	if e.capture.active() {
		return e.capture.append(p...)
	}
	if e.skim > 0 {
		return nil
	}
	e.size += int64(len(p))
	return e.content(p)
}

func (e *envelope) end() error {
	switch {
	case e.capture.active():
		e.capture.end()
		if e.capture.active() {
			return nil
		}
		e.parts[e.current] = e.capture.der
		return e.check(e.current)
	case e.inside > 0:
		e.inside--
		return nil
	case e.skim > 0:
		e.endSkim()
		return nil
	}
	e.depth--
	l := e.levels[e.depth]
	for _, f := range l.fields {
		if !f.optional {
			return malformed(f.name, "missing in %s", l.name)
		}
	}
	e.name = l.name
	return nil
}

// beginSegment takes a part of a constructed encryptedContent.
func (e *envelope) beginSegment(tag byte) error {
	if tag&^tagConstructed != tagOctetString {
		return malformed("", "tag %#02x inside an OCTET STRING", tag)
	}
	e.inside++
	return nil
}

// endSkim hands on what has passed by, if it stood in a list.
func (e *envelope) endSkim() {
	if e.skim--; e.skim > 0 {
		return
	}
	raw := e.parser.skimmed()
	if l := e.levels[e.depth-1]; l.list != nil {
		e.item(l.list.part, raw)
	}
}

// check stops early at a content type that is none of ours, however long the
// rest may be.
func (e *envelope) check(p part) error {
	if p != partType || e.chosen() != nil {
		return nil
	}
	return malformed("", "not a content type that is read here")
}
