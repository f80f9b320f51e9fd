package cms

// A capture rebuilds one element, in whatever form it was encoded, with definite
// lengths, shortest length octets and primitive octet strings, so that it can be
// read as DER afterwards. The order of sets is kept.
type capture struct {
	der   []byte
	max   int // octets
	open  [maxDepth + 1]captured
	depth int
}

// A captured element is one that is still open.
type captured struct {
	start  int  // of its content in der
	octets bool // a constructed OCTET STRING, or a segment of one
	inner  bool // a segment: leaves no header
}

const tagOctetsConstructed = tagOctetString | tagConstructed

func (c *capture) active() bool { return c.depth > 0 }

// reset makes ready for the next element, of at most max octets.
func (c *capture) reset(limit int) { c.der, c.max, c.depth = nil, limit, 0 }

func (c *capture) begin(tag byte) error {
	element := captured{octets: tag == tagOctetsConstructed}
	if c.depth > 0 && c.open[c.depth-1].octets {
		if tag&^tagConstructed != tagOctetString {
			return malformed("", "tag %#02x inside an OCTET STRING", tag)
		}
		element.inner = true
	} else {
		if element.octets {
			tag = tagOctetString
		}
		if err := c.append(tag, 0); err != nil {
			return err
		}
	}
	element.start = len(c.der)
	c.open[c.depth] = element
	c.depth++
	return nil
}

func (c *capture) append(p ...byte) error {
	if len(c.der)+len(p) > c.max {
		return malformed("", "larger than %d octets", c.max)
	}
	c.der = append(c.der, p...)
	return nil
}

// end puts in the length, which was left at one octet.
func (c *capture) end() {
	c.depth--
	element := c.open[c.depth]
	if element.inner {
		return
	}
	var b [10]byte
	length := appendHeader(b[:0], 0, int64(len(c.der)-element.start))[1:]
	if more := len(length) - 1; more > 0 {
		c.der = append(c.der, length[1:]...)
		copy(c.der[element.start+more:], c.der[element.start:])
	}
	copy(c.der[element.start-1:], length)
}

// asDER gives one element the form that capture gives it, so that it can be
// compared with what was captured.
func asDER(element []byte) ([]byte, bool) {
	h := &captureOnly{}
	h.reset(len(element) + len(element)/2 + 16)
	p := berParser{handler: h}
	if p.parse(element) != nil || !p.done {
		return nil, false
	}
	return h.der, true
}

// captureOnly is a berHandler that captures everything.
type captureOnly struct{ capture }

func (h *captureOnly) octets(p []byte) error { return h.append(p...) }

func (h *captureOnly) end() error {
	h.capture.end()
	return nil
}
