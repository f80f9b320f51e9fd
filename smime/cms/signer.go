package cms

import (
	"bytes"
	"encoding/asn1"
	"time"

	"golang.org/x/crypto/cryptobyte"
	asn1tag "golang.org/x/crypto/cryptobyte/asn1"

	"sealpost/internal/certificate"
)

// A Signer is one signature of a message. What it says of itself is true only
// if SignedData.Verify says so.
type Signer struct {
	SigningTime  time.Time               // zero if it does not say
	Capabilities []asn1.ObjectIdentifier // SMIMECapabilities, the best first (RFC 8551 section 2.5.2)
	Preference   *Identifier             // certificate for mail to the signer (RFC 8551 section 2.5.3); nil if it does not say

	id        Identifier
	digest    algorithmIdentifier
	algorithm algorithmIdentifier
	signature []byte
	signed    []byte // the signed attributes as they were signed, a SET OF; nil without
	attrs     attributes
}

// An Identifier names a certificate.
type Identifier struct {
	issuer, serial []byte // elements in DER; or
	keyID          []byte // the subject key identifier
}

// Names tells whether c is that certificate. Several may be: whoever makes
// certificates can make them alike.
func (i *Identifier) Names(c *certificate.Certificate) bool {
	if len(i.keyID) > 0 {
		return bytes.Equal(i.keyID, c.SubjectKeyID)
	}
	return len(i.serial) > 0 && sameInteger(i.serial, inDER(c.RawSerial)) && bytes.Equal(i.issuer, inDER(c.RawIssuer))
}

// inDER is the element in the form that capture gives it, where it has one.
func inDER(element []byte) []byte {
	if der, ok := asDER(element); ok {
		return der
	}
	return element
}

const fieldSigners = "signerInfos"

// parseSigner reads a SignerInfo (RFC 5652 section 5.3) in DER or BER. raw is nil
// when it was too large.
func parseSigner(raw []byte) (*Signer, error) {
	der, ok := asDER(raw)
	if !ok {
		return nil, malformed(fieldSigners, "a signature is larger than %d octets or damaged", maxSignerInfo)
	}
	s := cryptobyte.String(der)
	var info cryptobyte.String
	var version int
	signer := &Signer{}
	if !s.ReadASN1(&info, asn1tag.SEQUENCE) || !info.ReadASN1Integer(&version) || version != 1 && version != 3 ||
		!signer.id.read(&info) || !readAlgorithm(&info, &signer.digest) {
		return nil, malformed(fieldSigners, "not a SignerInfo")
	}
	if info.PeekASN1Tag(tagContext0) {
		var element cryptobyte.String
		if !info.ReadASN1Element(&element, tagContext0) {
			return nil, malformed("signedAttrs", "damaged")
		}
		signer.signed = append([]byte{tagSet}, element[1:]...)
		if !signer.readAttributes() {
			return nil, malformed("signedAttrs", "not a set of attributes")
		}
	}
	if !readAlgorithm(&info, &signer.algorithm) || !readOctets(&info, &signer.signature) ||
		!info.SkipOptionalASN1(tagContext1) || !info.Empty() {
		return nil, malformed(fieldSigners, "not a SignerInfo")
	}
	return signer, nil
}

// read reads SignerIdentifier.
func (i *Identifier) read(s *cryptobyte.String) bool {
	if s.PeekASN1Tag(tagKeyID) {
		var id cryptobyte.String
		ok := s.ReadASN1(&id, tagKeyID) && len(id) > 0
		i.keyID = id
		return ok
	}
	var seq cryptobyte.String
	return s.ReadASN1(&seq, asn1tag.SEQUENCE) && i.readIssuerAndSerial(seq)
}

func (i *Identifier) readIssuerAndSerial(s cryptobyte.String) bool {
	var issuer, serial cryptobyte.String
	ok := s.ReadASN1Element(&issuer, asn1tag.SEQUENCE) && s.ReadASN1Element(&serial, asn1tag.INTEGER) && s.Empty()
	i.issuer, i.serial = issuer, serial
	return ok
}
