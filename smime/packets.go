package smime

import "errors"

// Packet types (RFC 9580 section 5) that an encrypted message is made of.
const (
	packetPKESK = 1  // session key for a public key
	packetSKESK = 3  // session key for a passphrase
	packetSEIPD = 18 // encrypted and integrity protected data
	packetAEAD  = 20 // the same, as GnuPG 2.3 writes it
)

// maxSessionKey bounds a session key packet, in bytes.
const maxSessionKey = 64 << 10

var errPackets = errors.New("not the packets of one encrypted OpenPGP message")

// A packetExaminer accepts one encrypted message (RFC 9580 section 10.3): one
// or more session key packets, one packet of encrypted data, and nothing else.
// Data without integrity protection (type 9) is refused, and so sealed.
type packetExaminer struct {
	head    []byte // of the packet header that is being read
	kind    byte
	left    uint64 // bytes of the packet, or of its part, still to come
	partial bool   // more parts follow
	inBody  bool
	seen    uint64 // bytes of the packet's body so far
	keys    bool   // a session key was seen
	data    bool   // the encrypted data began
}

func (e *packetExaminer) Write(p []byte) (int, error) {
	total := len(p)
	for len(p) > 0 {
		if !e.inBody {
			e.head = append(e.head, p[0])
			p = p[1:]
			if err := e.header(); err != nil {
				return 0, err
			}
			continue
		}
		if e.seen == 0 && !goodVersion(e.kind, p[0]) {
			return 0, errPackets
		}
		n := min(uint64(len(p)), e.left)
		p = p[n:]
		e.seen += n
		e.left -= n
		if err := e.endPart(); err != nil {
			return 0, err
		}
	}
	return total, nil
}

// header looks at a packet header as far as it is there (RFC 9580 section
// 4.2), or at the length of a further part.
func (e *packetExaminer) header() error {
	lengths := e.head
	if !e.partial {
		if err := e.tag(e.head[0]); err != nil {
			return err
		}
		lengths = e.head[1:]
	}
	if len(lengths) == 0 {
		return nil
	}
	var size uint64
	var more, ok bool
	if !e.partial && e.head[0]&0x40 == 0 {
		size, ok = oldLength(e.head[0]&3, lengths)
	} else {
		size, more, ok = newLength(lengths)
	}
	if !ok {
		return nil
	}
	return e.begin(size, more)
}

// tag accepts the first byte of a packet.
func (e *packetExaminer) tag(b byte) error {
	switch {
	case b&0xc0 == 0xc0:
		e.kind = b & 0x3f
	case b&0xc0 == 0x80 && b&3 != 3: // old format; 3 is a length that nothing tells
		e.kind = b >> 2 & 0xf
	default:
		return errPackets
	}
	isKey := e.kind == packetPKESK || e.kind == packetSKESK
	isData := e.kind == packetSEIPD || e.kind == packetAEAD
	if e.data || !isKey && !(isData && e.keys) {
		return errPackets
	}
	return nil
}

// begin starts a packet's body, or a further part of it.
func (e *packetExaminer) begin(size uint64, more bool) error {
	isData := e.kind == packetSEIPD || e.kind == packetAEAD
	switch {
	case !isData && (more || size < 4 || size > maxSessionKey):
		return errPackets
	case !e.partial && more && size < 512: // RFC 9580 section 4.2.1.4
		return errPackets
	}
	e.keys = e.keys || !isData
	e.data = isData
	if !e.partial {
		e.seen = 0
	}
	e.head = e.head[:0]
	e.left, e.partial, e.inBody = size, more, true
	return e.endPart()
}

// endPart ends a part that has been read whole, and with the last one the
// packet.
func (e *packetExaminer) endPart() error {
	if e.left > 0 {
		return nil
	}
	e.inBody = false
	if !e.partial && e.data && e.seen < minData {
		return errPackets
	}
	return nil
}

// minData is the least that a data packet holds: its version, a prefix or
// parameters, and a tag.
const minData = 36

// Close reports whether the message was complete.
func (e *packetExaminer) Close() error {
	if e.inBody || e.partial || len(e.head) > 0 || !e.data {
		return errPackets
	}
	return nil
}

// goodVersion tells the versions that are defined for a packet.
func goodVersion(kind, version byte) bool {
	switch kind {
	case packetPKESK:
		return version == 3 || version == 6
	case packetSKESK:
		return version >= 4 && version <= 6
	case packetSEIPD:
		return version == 1 || version == 2
	}
	return version == 1
}

// newLength reads a length of RFC 9580 section 4.2.1; ok is false while bytes
// are missing.
func newLength(b []byte) (size uint64, partial, ok bool) {
	switch {
	case b[0] < 192:
		return uint64(b[0]), false, true
	case b[0] < 224:
		if len(b) < 2 {
			return 0, false, false
		}
		return uint64(b[0]-192)<<8 + uint64(b[1]) + 192, false, true
	case b[0] < 255:
		return 1 << (b[0] & 0x1f), true, true
	}
	size, ok = bigEndian(b[1:], 4)
	return size, false, ok
}

// oldLength reads a length of RFC 9580 section 4.2.2.
func oldLength(kind byte, b []byte) (size uint64, ok bool) {
	return bigEndian(b, 1<<kind)
}

func bigEndian(b []byte, n int) (v uint64, ok bool) {
	if len(b) < n {
		return 0, false
	}
	for _, c := range b[:n] {
		v = v<<8 | uint64(c)
	}
	return v, true
}
