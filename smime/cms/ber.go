package cms

import "math"

// maxDepth bounds the nesting of elements. An originator's certificate inside
// the envelope needs about 16 levels.
const maxDepth = 32

// maxLength bounds what a length may say, in octets.
const maxLength = 1 << 60

// A berHandler hears what a berParser finds, in order. tag is the identifier
// octet, with the constructed bit.
type berHandler interface {
	begin(tag byte) error
	octets(p []byte) error // content of the primitive element that was begun last, in pieces
	end() error
}

// A berParser takes one BER element in pieces of any size and reports its
// structure. It reads definite and indefinite lengths, keeps nothing but its
// stack, and spends constant time on each octet.
type berParser struct {
	handler berHandler
	frames  [maxDepth]frame // the open constructed elements
	depth   int
	header  [10]byte // of the element that is being begun
	filled  int      // octets in header
	left    int64    // octets to come of the primitive element being read
	pos     int64    // octets read
	done    bool     // the outermost element is complete
	opaque  bool     // what begins now is not entered, if its length is known
	record  record
}

// A record keeps the octets that pass by as they are, up to a limit. What goes
// beyond it is lost, not an error.
type record struct {
	on   bool
	max  int
	raw  []byte // nil when it was too large
	lost bool
}

func (r *record) add(p ...byte) {
	if !r.on || r.lost {
		return
	}
	if r.lost = len(r.raw)+len(p) > r.max; r.lost {
		r.raw = nil
		return
	}
	r.raw = append(r.raw, p...)
}

// skim makes the element that begins now pass by as it is, without a look into
// it where its length is known; for a berHandler in begin. Up to limit octets of
// it are recorded.
func (b *berParser) skim(limit int) {
	b.opaque = true
	b.record = record{on: limit > 0, max: limit}
	b.record.add(b.header[:b.filled]...)
}

// skimmed ends the record and gives it; nil when it was too large.
func (b *berParser) skimmed() []byte {
	b.record.on = false
	return b.record.raw
}

// A frame is an open constructed element.
type frame struct {
	end   int64 // position behind it; indefinite when end-of-contents octets say it
	limit int64 // position that nothing in it may exceed
}

const indefinite = -1

// parse reads the next piece.
func (b *berParser) parse(p []byte) error {
	for len(p) > 0 {
		if b.done {
			return malformed("", "more data behind the message")
		}
		if b.left > 0 {
			n := int(min(b.left, int64(len(p))))
			b.record.add(p[:n]...)
			if err := b.handler.octets(p[:n]); err != nil {
				return err
			}
			p = p[n:]
			b.pos += int64(n)
			if b.left -= int64(n); b.left == 0 {
				if err := b.leave(); err != nil {
					return err
				}
			}
			continue
		}
		b.record.add(p[0])
		b.header[b.filled] = p[0]
		b.filled++
		b.pos++
		p = p[1:]
		complete, err := b.headerComplete()
		if err != nil {
			return err
		}
		if complete {
			if err := b.enter(); err != nil {
				return err
			}
		}
	}
	return nil
}

// headerComplete tells whether identifier and length octets are all there.
func (b *berParser) headerComplete() (bool, error) {
	if b.header[0]&0x1f == 0x1f {
		return false, malformed("", "tag numbers above 30 do not occur here")
	}
	if b.filled < 2 {
		return false, nil
	}
	length := b.header[1]
	if length <= 0x80 {
		return true, nil
	}
	n := int(length & 0x7f)
	if 2+n > len(b.header) {
		return false, malformed("", "length of %d octets", n)
	}
	return b.filled == 2+n, nil
}

// length decodes the length octets of a complete header.
func (b *berParser) length() (int64, error) {
	first := b.header[1]
	if first == 0x80 {
		return indefinite, nil
	}
	if first < 0x80 {
		return int64(first), nil
	}
	var length uint64
	for _, octet := range b.header[2:b.filled] {
		length = length<<8 | uint64(octet)
	}
	if length > maxLength {
		return 0, malformed("", "length of %d octets is absurd", length)
	}
	return int64(length), nil
}

// enter begins the element whose header is complete.
func (b *berParser) enter() error {
	tag := b.header[0]
	length, err := b.length()
	if err != nil {
		return err
	}
	limit := int64(math.MaxInt64)
	if b.depth > 0 {
		limit = b.frames[b.depth-1].limit
	}
	if b.pos > limit || length > limit-b.pos {
		return malformed("", "element is longer than the one it stands in")
	}
	if tag == 0 {
		b.filled = 0
		return b.endOfContents(length)
	}
	if tag&tagConstructed == 0 && length == indefinite {
		return malformed("", "primitive element of indefinite length")
	}
	b.opaque = false
	if err := b.handler.begin(tag); err != nil {
		return err
	}
	b.filled = 0
	if tag&tagConstructed == 0 || b.opaque && length != indefinite {
		if b.left = length; length == 0 {
			return b.leave()
		}
		return nil
	}
	return b.push(length, limit)
}

func (b *berParser) push(length, limit int64) error {
	if b.depth == maxDepth {
		return malformed("", "nested deeper than %d levels", maxDepth)
	}
	f := frame{end: indefinite, limit: limit}
	if length != indefinite {
		f.end = b.pos + length
		f.limit = f.end
	}
	b.frames[b.depth] = f
	b.depth++
	return b.unwind()
}

// endOfContents closes an element of indefinite length.
func (b *berParser) endOfContents(length int64) error {
	if length != 0 || b.depth == 0 || b.frames[b.depth-1].end != indefinite {
		return malformed("", "end-of-contents octets out of place")
	}
	b.depth--
	return b.leave()
}

// leave ends an element, and every element around it that ends at this octet.
func (b *berParser) leave() error {
	if err := b.handler.end(); err != nil {
		return err
	}
	return b.unwind()
}

func (b *berParser) unwind() error {
	for b.depth > 0 && b.frames[b.depth-1].end == b.pos {
		b.depth--
		if err := b.handler.end(); err != nil {
			return err
		}
	}
	b.done = b.depth == 0
	return nil
}
