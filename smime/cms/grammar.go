package cms

// Limits of what is held in memory of a message, in octets. Only the recipients
// grow with use. The originator's certificates and the attributes are bounded
// closely because cleartext could hide there.
const (
	maxHead       = 1 << 20
	maxOriginator = 64 << 10
	maxAttributes = 4 << 10
	maxSmall      = 1 << 10
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
	content  bool    // or the encrypted content
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
