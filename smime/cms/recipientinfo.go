package cms

import (
	"bytes"
	"encoding/asn1"

	"golang.org/x/crypto/cryptobyte"
	asn1tag "golang.org/x/crypto/cryptobyte/asn1"
)

const fieldRecipients = "recipientInfos"

// Kinds of RecipientInfo, by their tag (RFC 5652, 6.2).
const (
	tagTransport = asn1tag.SEQUENCE
	tagAgreement = asn1tag.Tag(0xa1)
	tagKEK       = asn1tag.Tag(0xa2)
	tagPassword  = asn1tag.Tag(0xa3)
	tagOther     = asn1tag.Tag(0xa4) // KEMRecipientInfo among them (RFC 9629)

	tagContext0 = asn1tag.Tag(0xa0)
	tagContext1 = asn1tag.Tag(0xa1)
	tagKeyID    = asn1tag.Tag(0x80) // SubjectKeyIdentifier, implicit
)

// A recipientInfo is one way to a message's key that a certificate may have.
type recipientInfo struct {
	kind      asn1tag.Tag
	keys      []encryptedKey      // of the certificates; one for key transport
	algorithm algorithmIdentifier // keyEncryptionAlgorithm
	ephemeral originatorKey       // key agreement
	ukm       []byte              // key agreement; nil without
}

// An encryptedKey is the message's key for one certificate.
type encryptedKey struct {
	issuer, serial []byte // elements; or
	keyID          []byte // the subject key identifier
	encrypted      []byte
}

// An originatorKey is the sender's half of an agreement. Only ephemeral keys are
// read; with another kind, point is nil.
type originatorKey struct {
	algorithm asn1.ObjectIdentifier
	point     []byte
}

// parseRecipients reads a SET OF RecipientInfo in DER. Kinds that no
// certificate can open are only looked at from outside.
func parseRecipients(der []byte) ([]recipientInfo, error) {
	s := cryptobyte.String(der)
	var set cryptobyte.String
	if !s.ReadASN1(&set, asn1tag.SET) || set.Empty() {
		return nil, malformed(fieldRecipients, "no recipient")
	}
	var infos []recipientInfo
	for n := 1; !set.Empty(); n++ {
		var info recipientInfo
		var body cryptobyte.String
		ok := set.ReadAnyASN1(&body, &info.kind)
		switch {
		case ok && info.kind == tagTransport:
			ok = info.readTransport(body)
		case ok && info.kind == tagAgreement:
			ok = info.readAgreement(body)
		case ok && (info.kind == tagKEK || info.kind == tagPassword):
			var version int
			ok = body.ReadASN1Integer(&version) && !body.Empty()
		case ok && info.kind == tagOther:
			var kind asn1.ObjectIdentifier
			ok = body.ReadASN1ObjectIdentifier(&kind) && !body.Empty()
		default:
			ok = false
		}
		if !ok {
			return nil, malformed(fieldRecipients, "recipient %d is not a RecipientInfo", n)
		}
		infos = append(infos, info)
	}
	return infos, nil
}

// readTransport reads KeyTransRecipientInfo.
func (r *recipientInfo) readTransport(s cryptobyte.String) bool {
	var version int
	var key encryptedKey
	ok := s.ReadASN1Integer(&version) && (version == 0 || version == 2) &&
		key.readIdentifier(&s, tagKeyID) &&
		readAlgorithm(&s, &r.algorithm) &&
		readOctets(&s, &key.encrypted) && s.Empty()
	r.keys = []encryptedKey{key}
	return ok
}

// readIdentifier reads RecipientIdentifier or KeyAgreeRecipientIdentifier, which
// differ in how a key identifier stands there.
func (k *encryptedKey) readIdentifier(s *cryptobyte.String, keyID asn1tag.Tag) bool {
	var seq cryptobyte.String
	if s.PeekASN1Tag(keyID) {
		if !s.ReadASN1(&seq, keyID) {
			return false
		}
		k.keyID = seq
		if keyID == tagContext0 { // RecipientKeyIdentifier; date and other are not needed
			return readOctets(&seq, &k.keyID) && len(k.keyID) > 0
		}
		return len(k.keyID) > 0
	}
	var issuer, serial cryptobyte.String
	ok := s.ReadASN1(&seq, asn1tag.SEQUENCE) &&
		seq.ReadASN1Element(&issuer, asn1tag.SEQUENCE) &&
		seq.ReadASN1Element(&serial, asn1tag.INTEGER) && seq.Empty()
	k.issuer, k.serial = issuer, serial
	return ok
}

// readAgreement reads KeyAgreeRecipientInfo.
func (r *recipientInfo) readAgreement(s cryptobyte.String) bool {
	var version int
	var originator, keys cryptobyte.String
	if !s.ReadASN1Integer(&version) || version != 3 || !s.ReadASN1(&originator, tagContext0) {
		return false
	}
	if !r.ephemeral.read(originator) {
		return false
	}
	if s.PeekASN1Tag(tagContext1) {
		var ukm cryptobyte.String
		if !s.ReadASN1(&ukm, tagContext1) || !readOctets(&ukm, &r.ukm) || !ukm.Empty() {
			return false
		}
	}
	if !readAlgorithm(&s, &r.algorithm) || !s.ReadASN1(&keys, asn1tag.SEQUENCE) || !s.Empty() || keys.Empty() {
		return false
	}
	for !keys.Empty() {
		var seq cryptobyte.String
		var key encryptedKey
		if !keys.ReadASN1(&seq, asn1tag.SEQUENCE) || !key.readIdentifier(&seq, tagContext0) ||
			!readOctets(&seq, &key.encrypted) || !seq.Empty() {
			return false
		}
		r.keys = append(r.keys, key)
	}
	return true
}

// read reads OriginatorIdentifierOrKey.
func (o *originatorKey) read(s cryptobyte.String) bool {
	if !s.PeekASN1Tag(tagContext1) { // a static key, named by its certificate
		return s.PeekASN1Tag(asn1tag.SEQUENCE) || s.PeekASN1Tag(tagKeyID)
	}
	var seq cryptobyte.String
	var id algorithmIdentifier
	ok := s.ReadASN1(&seq, tagContext1) && s.Empty() && readAlgorithm(&seq, &id) &&
		seq.ReadASN1BitStringAsBytes(&o.point) && seq.Empty()
	o.algorithm = id.oid
	return ok
}

// sameInteger compares two INTEGER elements by value: senders shorten what
// a certificate carries with superfluous leading octets.
func sameInteger(a, b []byte) bool {
	return bytes.Equal(shortestInteger(a), shortestInteger(b))
}

func shortestInteger(element []byte) []byte {
	s := cryptobyte.String(element)
	var value cryptobyte.String
	if !s.ReadASN1(&value, asn1tag.INTEGER) {
		return element
	}
	for len(value) > 1 && (value[0] == 0 && value[1] < 0x80 || value[0] == 0xff && value[1] >= 0x80) {
		value = value[1:]
	}
	return value
}
