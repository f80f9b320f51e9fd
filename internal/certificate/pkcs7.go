package certificate

import "bytes"

// maxDepth bounds how deeply elements of indefinite length may nest.
const maxDepth = 16

var derSignedData = []byte{0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02}

// isPKCS7 reports whether data begins as a ContentInfo of type signed-data.
func isPKCS7(data []byte) bool {
	info, ok := open(data, 0x30)
	return ok && bytes.HasPrefix(info, derSignedData)
}

// signedDataCertificates calls found with the DER of each certificate in a
// SignedData (RFC 5652 section 5.1), whose own encoding may be BER. It reports
// whether the structure could be read; other kinds of certificates are passed
// over. Signatures are not looked at.
func signedDataCertificates(data []byte, found func(der []byte)) bool {
	info, ok := open(data, 0x30)
	if !ok || !bytes.HasPrefix(info, derSignedData) {
		return false
	}
	explicit, ok := open(info[len(derSignedData):], 0xa0)
	if !ok {
		return false
	}
	signed, ok := open(explicit, 0x30)
	if !ok {
		return false
	}
	for _, tag := range []byte{0x02, 0x31, 0x30} { // version, digestAlgorithms, encapContentInfo
		e, ok := readElement(signed, 0)
		if !ok || e.tag != tag {
			return false
		}
		signed = e.rest
	}
	set, ok := readElement(signed, 0)
	if !ok {
		return false
	}
	if set.tag != 0xa0 {
		return true // none inside
	}
	for in := set.content; len(in) > 0; {
		e, ok := readElement(in, 0)
		if !ok {
			return false
		}
		if e.tag == 0x30 {
			found(bytes.Clone(in[:len(in)-len(e.rest)]))
		}
		in = e.rest
	}
	return true
}

// open gives the content of the first element of data when it has the tag.
func open(data []byte, tag byte) ([]byte, bool) {
	e, ok := readElement(data, 0)
	if !ok || e.tag != tag {
		return nil, false
	}
	return e.content, true
}

// An element is one BER TLV. The content of one of indefinite length is
// without the end-of-contents octets.
type element struct {
	tag           byte
	content, rest []byte
}

// readElement reads the first element of in. Each byte is looked at once for
// each element of indefinite length that is opened around it by the caller,
// never more: the cost stays linear.
func readElement(in []byte, depth int) (element, bool) {
	if len(in) < 2 || in[0]&0x1f == 0x1f || depth > maxDepth {
		return element{}, false
	}
	tag, first := in[0], in[1]
	in = in[2:]
	if first == 0x80 {
		if tag&0x20 == 0 {
			return element{}, false
		}
		return readIndefinite(tag, in, depth)
	}
	n := int(first)
	if first > 0x80 {
		size := int(first & 0x7f)
		if size > 4 || size > len(in) {
			return element{}, false
		}
		n = 0
		for _, b := range in[:size] {
			n = n<<8 | int(b)
		}
		in = in[size:]
	}
	if n < 0 || n > len(in) {
		return element{}, false
	}
	return element{tag, in[:n], in[n:]}, true
}

// readIndefinite finds the end-of-contents octets of the element whose content
// begins at in.
func readIndefinite(tag byte, in []byte, depth int) (element, bool) {
	for rest := in; ; {
		if len(rest) >= 2 && rest[0] == 0 && rest[1] == 0 {
			return element{tag, in[:len(in)-len(rest)], rest[2:]}, true
		}
		e, ok := readElement(rest, depth+1)
		if !ok {
			return element{}, false
		}
		rest = e.rest
	}
}
