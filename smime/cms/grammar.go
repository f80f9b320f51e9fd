package cms

import (
	"encoding/asn1"

	"sealpost/internal/certificate"
)

// Limits of what is held in memory of a message, in octets. Only the recipients
// grow with use. The originator's certificates and the attributes are bounded
// closely because cleartext could hide there.
const (
	maxHead       = 1 << 20
	maxOriginator = 64 << 10
	maxAttributes = 4 << 10
	maxSmall      = 1 << 10
)

// Limits of signed messages: elements, and octets of one. What anybody may add
// to a message without breaking its signature must cost little.
const (
	maxCertificates   = 100
	maxSigners        = 16
	maxSignerInfo     = 64 << 10
	maxDigestsElement = 4 << 10
)

// part names a captured field.
type part int

const (
	partNone part = iota
	partType
	partVersion
	partOriginator
	partRecipients
	partInnerType
	partAlgorithm
	partAuthAttrs
	partMAC
	partUnprotected
	partDigests
	partCertificates
	partSigners
	partCount
)

// A field is one component of a SEQUENCE.
type field struct {
	name     string
	tag      byte
	alt      byte // other identifier octet allowed, 0 for none
	optional bool
	part     part    // captured there, within max octets
	max      int     //
	inside   []field // or entered, with these components
	choice   bool    // or entered, with components that the content type decides
	content  bool    // or the content
	skip     bool    // or passed over
	list     bool    // or a list: up to count elements, each of up to max octets kept as it is
	count    int     //
}

// A contentType is one of the kinds of message that an envelope reads.
type contentType struct {
	oid    asn1.ObjectIdentifier
	fields []field
}

// encryptedTypes are what Open and Validator read.
func encryptedTypes() []contentType {
	return []contentType{{oidEnvelopedData, envelopedData}, {oidAuthEnvelopedData, authEnvelopedData}}
}

var contentInfo = []field{{name: "ContentInfo", tag: tagSequence, inside: []field{
	{name: "contentType", tag: tagOID, part: partType, max: maxSmall},
	{name: "content", tag: tagExplicit0, choice: true},
}}}

var encryptedContentInfo = []field{
	{name: "contentType", tag: tagOID, part: partInnerType, max: maxSmall},
	{name: fieldAlgorithm, tag: tagSequence, part: partAlgorithm, max: maxSmall},
	{name: "encryptedContent", tag: tagContent, alt: tagExplicit0, content: true},
}

var envelopedData = []field{{name: "EnvelopedData", tag: tagSequence, inside: []field{
	{name: "version", tag: tagInteger, part: partVersion, max: maxSmall},
	{name: "originatorInfo", tag: tagExplicit0, optional: true, part: partOriginator, max: maxOriginator},
	{name: fieldRecipients, tag: tagSet, part: partRecipients, max: maxHead},
	{name: "encryptedContentInfo", tag: tagSequence, inside: encryptedContentInfo},
	{name: "unprotectedAttrs", tag: tagAttributes1, optional: true, part: partUnprotected, max: maxAttributes},
}}}

var authEnvelopedData = []field{{name: "AuthEnvelopedData", tag: tagSequence, inside: []field{
	{name: "version", tag: tagInteger, part: partVersion, max: maxSmall},
	{name: "originatorInfo", tag: tagExplicit0, optional: true, part: partOriginator, max: maxOriginator},
	{name: fieldRecipients, tag: tagSet, part: partRecipients, max: maxHead},
	{name: "authEncryptedContentInfo", tag: tagSequence, inside: encryptedContentInfo},
	{name: "authAttrs", tag: tagAttributes1, optional: true, part: partAuthAttrs, max: maxAttributes},
	{name: "mac", tag: tagOctetString, alt: tagOctetsConstructed, part: partMAC, max: maxSmall},
	{name: "unauthAttrs", tag: tagAttributes2, optional: true, part: partUnprotected, max: maxAttributes},
}}}

// eContent is an OCTET STRING here: other contents, which PKCS #7 allowed, are
// of no use in mail.
var signedData = []field{{name: "SignedData", tag: tagSequence, inside: []field{
	{name: "version", tag: tagInteger, part: partVersion, max: maxSmall},
	{name: "digestAlgorithms", tag: tagSet, part: partDigests, max: maxDigestsElement},
	{name: "encapContentInfo", tag: tagSequence, inside: []field{
		{name: "eContentType", tag: tagOID, part: partInnerType, max: maxSmall},
		{name: "eContent", tag: tagExplicit0, optional: true, inside: []field{
			{name: "eContent", tag: tagOctetString, alt: tagOctetsConstructed, content: true},
		}},
	}},
	{name: "certificates", tag: tagExplicit0, optional: true, list: true, part: partCertificates, max: certificate.MaxSize, count: maxCertificates},
	{name: "crls", tag: tagAttributes1, optional: true, skip: true},
	{name: "signerInfos", tag: tagSet, list: true, part: partSigners, max: maxSignerInfo, count: maxSigners},
}}}
