package cms

import (
	"encoding/asn1"

	"golang.org/x/crypto/cryptobyte"
	asn1tag "golang.org/x/crypto/cryptobyte/asn1"
)

// mode is how a content encryption algorithm works, and so what its parameters are.
type mode int

const (
	modeCBC    mode = iota // parameters: OCTET STRING, the IV of one block
	modeRC2                // RFC 3370, 5.2: SEQUENCE { version, IV }, or the IV
	modeGCM                // RFC 5084: SEQUENCE { nonce, ICVlen DEFAULT 12 }
	modeCCM                // the same
	modeChaCha             // RFC 8103: OCTET STRING, the nonce
)

// A contentAlgorithm is one of the closed list of content encryption algorithms
// that count as encryption.
type contentAlgorithm struct {
	name    string
	oid     asn1.ObjectIdentifier
	mode    mode
	keySize int // octets; 0 where the key says it
	block   int // octets
	opens   bool
}

// contentAlgorithms is closed on purpose: whatever is not here, a null cipher
// above all, does not pass as encryption.
var contentAlgorithms = [...]contentAlgorithm{
	{"aes-128-cbc", asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 2}, modeCBC, 16, 16, true},
	{"aes-192-cbc", asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 22}, modeCBC, 24, 16, true},
	{"aes-256-cbc", asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 42}, modeCBC, 32, 16, true},
	{"aes-128-gcm", asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 6}, modeGCM, 16, 1, true},
	{"aes-192-gcm", asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 26}, modeGCM, 24, 1, true},
	{"aes-256-gcm", asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 46}, modeGCM, 32, 1, true},
	{"aes-128-ccm", asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 7}, modeCCM, 16, 1, false},
	{"aes-192-ccm", asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 27}, modeCCM, 24, 1, false},
	{"aes-256-ccm", asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 47}, modeCCM, 32, 1, false},
	{"3des-cbc", asn1.ObjectIdentifier{1, 2, 840, 113549, 3, 7}, modeCBC, 24, 8, true},
	{"rc2-cbc", asn1.ObjectIdentifier{1, 2, 840, 113549, 3, 2}, modeRC2, 0, 8, false},
	{"camellia-128-cbc", asn1.ObjectIdentifier{1, 2, 392, 200011, 61, 1, 1, 1, 2}, modeCBC, 16, 16, false},
	{"camellia-192-cbc", asn1.ObjectIdentifier{1, 2, 392, 200011, 61, 1, 1, 1, 3}, modeCBC, 24, 16, false},
	{"camellia-256-cbc", asn1.ObjectIdentifier{1, 2, 392, 200011, 61, 1, 1, 1, 4}, modeCBC, 32, 16, false},
	{"chacha20-poly1305", asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 3, 18}, modeChaCha, 32, 1, false},
}

func (a *contentAlgorithm) aead() bool {
	return a.mode == modeGCM || a.mode == modeCCM || a.mode == modeChaCha
}

// A contentCipher is an algorithm with its parameters.
type contentCipher struct {
	*contentAlgorithm
	iv      []byte // initialization vector or nonce
	tagSize int    // octets; 0 without authentication
}

const fieldAlgorithm = "contentEncryptionAlgorithm"

// parseContentAlgorithm reads a ContentEncryptionAlgorithmIdentifier.
func parseContentAlgorithm(der []byte) (contentCipher, error) {
	var c contentCipher
	id, ok := parseAlgorithm(der)
	if !ok {
		return c, malformed(fieldAlgorithm, "not an AlgorithmIdentifier")
	}
	for i := range contentAlgorithms {
		if contentAlgorithms[i].oid.Equal(id.oid) {
			c.contentAlgorithm = &contentAlgorithms[i]
		}
	}
	if c.contentAlgorithm == nil {
		return c, malformed(fieldAlgorithm, "%v is no content cipher known here", id.oid)
	}
	if !c.readParameters(id.params) {
		return c, malformed(fieldAlgorithm, "the parameters are not those of %s", c.name)
	}
	return c, nil
}

func (c *contentCipher) readParameters(der []byte) bool {
	s := cryptobyte.String(der)
	switch c.mode {
	case modeCBC:
		return readOctets(&s, &c.iv) && s.Empty() && len(c.iv) == c.block
	case modeChaCha:
		c.tagSize = 16
		return readOctets(&s, &c.iv) && s.Empty() && len(c.iv) == 12
	case modeRC2:
		var version int64
		if s.PeekASN1Tag(asn1tag.SEQUENCE) {
			if !s.ReadASN1(&s, asn1tag.SEQUENCE) || !s.ReadASN1Integer(&version) {
				return false
			}
		}
		return readOctets(&s, &c.iv) && s.Empty() && len(c.iv) == c.block
	default:
		return c.readNonce(s)
	}
}

// readNonce reads GCMParameters or CCMParameters (RFC 5084, 3.1 and 3.2).
func (c *contentCipher) readNonce(s cryptobyte.String) bool {
	var seq cryptobyte.String
	if !s.ReadASN1(&seq, asn1tag.SEQUENCE) || !s.Empty() || !readOctets(&seq, &c.iv) {
		return false
	}
	c.tagSize = 12
	if !seq.Empty() && !seq.ReadASN1Integer(&c.tagSize) || !seq.Empty() {
		return false
	}
	if c.mode == modeCCM {
		return len(c.iv) >= 7 && len(c.iv) <= 13 && c.tagSize >= 4 && c.tagSize <= 16 && c.tagSize%2 == 0
	}
	return len(c.iv) >= 1 && len(c.iv) <= 64 && c.tagSize >= 12 && c.tagSize <= 16
}

// An algorithmIdentifier is the AlgorithmIdentifier of X.509.
type algorithmIdentifier struct {
	raw    []byte // the whole element
	oid    asn1.ObjectIdentifier
	params []byte // element; empty when absent
}

func parseAlgorithm(der []byte) (algorithmIdentifier, bool) {
	s := cryptobyte.String(der)
	var id algorithmIdentifier
	ok := readAlgorithm(&s, &id) && s.Empty()
	return id, ok
}

func readAlgorithm(s *cryptobyte.String, id *algorithmIdentifier) bool {
	var raw, seq cryptobyte.String
	if !s.ReadASN1Element(&raw, asn1tag.SEQUENCE) {
		return false
	}
	id.raw = raw
	if !raw.ReadASN1(&seq, asn1tag.SEQUENCE) || !seq.ReadASN1ObjectIdentifier(&id.oid) {
		return false
	}
	id.params = nil
	if seq.Empty() {
		return true
	}
	var params cryptobyte.String
	var tag asn1tag.Tag
	if !seq.ReadAnyASN1Element(&params, &tag) || !seq.Empty() {
		return false
	}
	id.params = params
	return true
}

func readOctets(s *cryptobyte.String, out *[]byte) bool {
	return s.ReadASN1Bytes(out, asn1tag.OCTET_STRING)
}
