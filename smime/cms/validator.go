package cms

import (
	"encoding/asn1"

	"golang.org/x/crypto/cryptobyte"
	asn1tag "golang.org/x/crypto/cryptobyte/asn1"
)

// Info is what can be seen of a message from outside.
type Info struct {
	Authenticated bool   // AuthEnvelopedData, otherwise EnvelopedData
	Cipher        string // such as "aes-256-cbc"
	Recipients    int
	Size          int64 // octets of encrypted content
}

// A Validator takes bytes in pieces of any size and tells whether they are
// exactly one encrypted message: a ContentInfo, in BER or DER, with EnvelopedData
// or AuthEnvelopedData; at least one recipient; a content encryption algorithm
// from a closed list with parameters of the right shape; encrypted content
// that is not empty, consists of whole blocks, and does not look like text;
// an authentication code of the right size; and nothing behind it.
//
// It holds at most the recipients in memory, up to 1 MiB, and attributes up to
// 4 KiB. No check without the key can prove that a content is encrypted: who
// takes pains to make cleartext look like ciphertext gets through.
type Validator struct {
	envelope *envelope
	sample   sample
}

// NewValidator makes a Validator for one message.
func NewValidator() *Validator {
	v := &Validator{}
	v.envelope = newEnvelope(func(p []byte) error {
		v.sample.add(p)
		return nil
	}, encryptedTypes()...)
	return v
}

// Write looks at the next bytes. After an error, which is the one that Close
// gives, nothing more is looked at.
func (v *Validator) Write(p []byte) (int, error) { return v.envelope.Write(p) }

// Close gives the verdict. The error is a *FormatError that says what is missing.
func (v *Validator) Close() (Info, error) {
	e := v.envelope
	if err := e.finish(); err != nil {
		return Info{}, err
	}
	info, err := e.validate()
	if err == nil && v.sample.isText() {
		err = malformed("encryptedContent", "it is not encrypted, its octets are distributed unevenly")
	}
	if err != nil {
		e.err = e.locate(err)
		return Info{}, e.err
	}
	return info, nil
}

func (e *envelope) validate() (Info, error) {
	recipients, err := parseRecipients(e.parts[partRecipients])
	if err != nil {
		return Info{}, err
	}
	cipher, err := parseContentAlgorithm(e.parts[partAlgorithm])
	if err != nil {
		return Info{}, err
	}
	if err := e.checkSmallParts(); err != nil {
		return Info{}, err
	}
	if err := checkCipher(e, cipher); err != nil {
		return Info{}, err
	}
	if e.size == 0 {
		return Info{}, malformed("encryptedContent", "empty")
	}
	return Info{e.authenticated(), cipher.name, len(recipients), e.size}, nil
}

func (e *envelope) checkSmallParts() error {
	version := cryptobyte.String(e.parts[partVersion])
	var n int
	if !version.ReadASN1Integer(&n) || n < 0 || n > 4 {
		return malformed("version", "no version of this type")
	}
	var inner asn1.ObjectIdentifier
	innerType := cryptobyte.String(e.parts[partInnerType])
	if !innerType.ReadASN1ObjectIdentifier(&inner) {
		return malformed("contentType", "not an OBJECT IDENTIFIER")
	}
	if !isAttributes(e.parts[partAuthAttrs]) {
		return malformed("authAttrs", "not a set of attributes")
	}
	if !isAttributes(e.parts[partUnprotected]) {
		return malformed("unprotectedAttrs", "not a set of attributes")
	}
	return nil
}

// isAttributes tells whether an element is absent or a SET OF Attribute.
func isAttributes(element []byte) bool {
	s := cryptobyte.String(element)
	var set cryptobyte.String
	var tag asn1tag.Tag
	if s.Empty() {
		return true
	}
	if !s.ReadAnyASN1(&set, &tag) || set.Empty() {
		return false
	}
	for !set.Empty() {
		var attribute, oid, values cryptobyte.String
		if !set.ReadASN1(&attribute, asn1tag.SEQUENCE) || !attribute.ReadASN1(&oid, asn1tag.OBJECT_IDENTIFIER) ||
			!attribute.ReadASN1(&values, asn1tag.SET) || !attribute.Empty() {
			return false
		}
	}
	return true
}
