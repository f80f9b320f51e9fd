package cms

import (
	"encoding/asn1"
	"time"

	"golang.org/x/crypto/cryptobyte"
	asn1tag "golang.org/x/crypto/cryptobyte/asn1"
)

// maxAttributeCount and maxCapabilities bound what one signature may say.
const (
	maxAttributeCount = 64
	maxCapabilities   = 100
)

// attributes are those that a verification looks at.
type attributes struct {
	contentType asn1.ObjectIdentifier
	digest      []byte
	twice       bool // an attribute stands twice, or has not exactly one value where it must
}

// readAttributes reads the signed attributes. It reports false when they are
// none; what is wrong in one of them is for verification to say.
func (s *Signer) readAttributes() bool {
	all := cryptobyte.String(s.signed)
	var set cryptobyte.String
	if !all.ReadASN1(&set, asn1tag.SET) || set.Empty() {
		return false
	}
	seen := map[string]bool{}
	var microsoft *Identifier
	for n := 0; !set.Empty(); n++ {
		var attribute, values cryptobyte.String
		var kind cryptobyte.String
		if n == maxAttributeCount || !set.ReadASN1(&attribute, asn1tag.SEQUENCE) ||
			!attribute.ReadASN1Element(&kind, asn1tag.OBJECT_IDENTIFIER) ||
			!attribute.ReadASN1(&values, asn1tag.SET) || !attribute.Empty() {
			return false
		}
		s.attrs.twice = s.attrs.twice || seen[string(kind)]
		seen[string(kind)] = true
		var oid asn1.ObjectIdentifier
		if !kind.ReadASN1ObjectIdentifier(&oid) {
			continue // a private one, with an arc beyond all measure
		}
		if oid.Equal(oidKeyPreferenceMS) {
			microsoft = readPreferenceMS(values)
			continue
		}
		s.readAttribute(oid, values)
	}
	if s.Preference == nil {
		s.Preference = microsoft
	}
	return true
}

func (s *Signer) readAttribute(oid asn1.ObjectIdentifier, values cryptobyte.String) {
	ok := true
	switch {
	case oid.Equal(oidContentType):
		ok = values.ReadASN1ObjectIdentifier(&s.attrs.contentType) && values.Empty()
	case oid.Equal(oidMessageDigest):
		ok = readOctets(&values, &s.attrs.digest) && values.Empty()
	case oid.Equal(oidSigningTime):
		s.SigningTime, ok = readTime(values)
	case oid.Equal(oidCapabilities):
		s.Capabilities = readCapabilities(values)
	case oid.Equal(oidKeyPreference):
		s.Preference = readPreference(values)
	}
	s.attrs.twice = s.attrs.twice || !ok
}

// readTime reads Time (RFC 5652 section 11.3).
func readTime(s cryptobyte.String) (time.Time, bool) {
	var t time.Time
	var ok bool
	if s.PeekASN1Tag(asn1tag.UTCTime) {
		ok = s.ReadASN1UTCTime(&t)
	} else {
		ok = s.ReadASN1GeneralizedTime(&t)
	}
	if !ok || !s.Empty() {
		return time.Time{}, false
	}
	return t.UTC(), true
}

// readCapabilities reads SMIMECapabilities; what is damaged ends them. Their
// parameters, the key lengths of ciphers no longer in use, are left out.
func readCapabilities(values cryptobyte.String) []asn1.ObjectIdentifier {
	var list cryptobyte.String
	var all []asn1.ObjectIdentifier
	if !values.ReadASN1(&list, asn1tag.SEQUENCE) {
		return nil
	}
	for !list.Empty() && len(all) < maxCapabilities {
		var capability cryptobyte.String
		var oid asn1.ObjectIdentifier
		if !list.ReadASN1(&capability, asn1tag.SEQUENCE) || !capability.ReadASN1ObjectIdentifier(&oid) {
			break
		}
		all = append(all, oid)
	}
	return all
}

// readPreference reads SMIMEEncryptionKeyPreference (RFC 8551 section 2.5.3). One
// that cannot be read names no certificate at all, rather than any.
func readPreference(values cryptobyte.String) *Identifier {
	const (
		issuerAndSerial    = asn1tag.Tag(0xa0)
		recipientKeyID     = asn1tag.Tag(0xa1)
		subjectAltKeyID    = asn1tag.Tag(0x82)
		subjectAltExplicit = asn1tag.Tag(0xa2)
	)
	var choice, id cryptobyte.String
	var tag asn1tag.Tag
	p := &Identifier{}
	if !values.ReadAnyASN1(&choice, &tag) || !values.Empty() {
		return p
	}
	ok := false
	switch tag {
	case issuerAndSerial:
		if ok = p.readIssuerAndSerial(choice); !ok { // explicitly tagged, as some write it
			var seq cryptobyte.String
			ok = choice.ReadASN1(&seq, asn1tag.SEQUENCE) && choice.Empty() && p.readIssuerAndSerial(seq)
		}
	case recipientKeyID, subjectAltExplicit: // date and other attributes may follow a RecipientKeyIdentifier
		ok = choice.ReadASN1(&id, asn1tag.OCTET_STRING)
	case subjectAltKeyID:
		id, ok = choice, true
	}
	if !ok {
		return &Identifier{}
	}
	p.keyID = id
	return p
}

// readPreferenceMS reads Microsoft's form, IssuerAndSerialNumber.
func readPreferenceMS(values cryptobyte.String) *Identifier {
	var seq cryptobyte.String
	p := &Identifier{}
	if !values.ReadASN1(&seq, asn1tag.SEQUENCE) || !values.Empty() || !p.readIssuerAndSerial(seq) {
		return &Identifier{}
	}
	return p
}
