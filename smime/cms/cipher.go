package cms

import (
	"encoding/asn1"
	"fmt"
)

// A Cipher is a content encryption algorithm that this package writes. The zero
// value is none.
type Cipher int

// The ciphers. CBC makes EnvelopedData, which every reader opens; GCM makes
// AuthEnvelopedData, which fewer do.
const (
	AES128CBC Cipher = iota + 1
	AES256CBC
	AES128GCM
	AES256GCM
)

// String is the name that configuration uses, such as "aes-256-cbc".
func (c Cipher) String() string {
	if !c.valid() {
		return fmt.Sprintf("Cipher(%d)", int(c))
	}
	return c.algorithm().name
}

// ParseCipher is the inverse of String.
func ParseCipher(name string) (Cipher, error) {
	for c := AES128CBC; c <= AES256GCM; c++ {
		if c.String() == name {
			return c, nil
		}
	}
	return 0, fmt.Errorf("cms: unknown cipher %q: use aes-128-cbc, aes-256-cbc, aes-128-gcm or aes-256-gcm", name)
}

// OID is the algorithm as it stands in a certificate's S/MIME capabilities
// (RFC 4262); nil for a Cipher that is none.
func (c Cipher) OID() asn1.ObjectIdentifier {
	if !c.valid() {
		return nil
	}
	return c.algorithm().oid
}

// AEAD tells whether the cipher authenticates what it encrypts.
func (c Cipher) AEAD() bool { return c == AES128GCM || c == AES256GCM }

func (c Cipher) valid() bool { return c >= AES128CBC && c <= AES256GCM }

// written maps a valid cipher to its index in contentAlgorithms.
var written = [...]int{AES128CBC: 0, AES256CBC: 2, AES128GCM: 3, AES256GCM: 5}

// algorithm describes a valid cipher.
func (c Cipher) algorithm() *contentAlgorithm { return &contentAlgorithms[written[c]] }
