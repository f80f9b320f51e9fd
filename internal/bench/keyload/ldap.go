package keyload

import (
	"bufio"
	"fmt"
	"io"
)

// LDAP asks an LDAP server: a search for (mail=ADDRESS) that wants the
// certificate; several addresses are as many searches sent at once.
type LDAP struct{}

// One is the request for one address.
func (LDAP) One(address string) []byte {
	search := tlv(0x63,
		tlv(0x04, []byte(Suffix)), []byte{0x0a, 1, 2, 0x0a, 1, 0, 2, 1, 0, 2, 1, 0, 1, 1, 0},
		tlv(0xa3, tlv(0x04, []byte("mail")), tlv(0x04, []byte(address))),
		tlv(0x30, tlv(0x04, []byte("userCertificate;binary"))))
	return tlv(0x30, []byte{2, 1, 1}, search)
}

// Many is the requests for several.
func (l LDAP) Many(addresses []string) (all []byte) {
	for _, a := range addresses {
		all = append(all, l.One(a)...)
	}
	return all
}

func tlv(tag byte, parts ...[]byte) []byte {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	out := []byte{tag, byte(n)}
	if n > 127 {
		out = []byte{tag, 0x82, byte(n >> 8), byte(n)}
	}
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

// Read reads the answers to so many searches; found counts entries.
func (LDAP) Read(r *bufio.Reader, searches int) (found int, err error) {
	for done := 0; done < searches; {
		n, err := messageLength(r)
		if err != nil {
			return found, err
		}
		head, err := r.Peek(min(n, 8)) // the message's number, and what it is
		if err != nil {
			return found, err
		}
		op := head[2+int(head[1])]
		switch op {
		case 0x64:
			found++
		case 0x65:
			done++
		default:
			return found, fmt.Errorf("the LDAP server answered with operation %#x", op)
		}
		if _, err := r.Discard(n); err != nil {
			return found, err
		}
	}
	return found, nil
}

// messageLength reads the head of an LDAPMessage (RFC 4511 section 4.1.1).
func messageLength(r *bufio.Reader) (n int, err error) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, err
	}
	if head[0] != 0x30 {
		return 0, fmt.Errorf("no LDAP message begins with %#x", head[0])
	}
	if n = int(head[1]); n < 0x80 {
		return n, nil
	}
	n = 0
	for range head[1] & 0x7f {
		b, err := r.ReadByte()
		if err != nil {
			return 0, err
		}
		n = n<<8 | int(b)
	}
	return n, nil
}
