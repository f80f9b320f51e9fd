package certificate

import (
	"crypto/x509"
	encasn1 "encoding/asn1"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// Extensions, as ObjectIdentifier.String spells them.
const (
	oidSubjectKeyID     = "2.5.29.14"
	oidKeyUsage         = "2.5.29.15"
	oidSubjectAltName   = "2.5.29.17"
	oidBasicConstraints = "2.5.29.19"
	oidExtKeyUsage      = "2.5.29.37"
	oidCapabilities     = "1.2.840.113549.1.9.15"
	oidSmtpUTF8Mailbox  = "1.3.6.1.5.5.7.8.9"
)

// handledElsewhere are extensions that say nothing a sender of mail has to
// obey on an end entity's certificate, or that chain building looks after:
// critical or not, they are no obstacle.
var handledElsewhere = []string{
	"2.5.29.18",         // issuer alternative name
	"2.5.29.30",         // name constraints
	"2.5.29.31",         // CRL distribution points
	"2.5.29.32",         // certificate policies
	"2.5.29.33",         // policy mappings
	"2.5.29.35",         // authority key identifier
	"2.5.29.36",         // policy constraints
	"2.5.29.54",         // inhibit anyPolicy
	"1.3.6.1.5.5.7.1.1", // authority information access
	"1.3.6.1.5.5.7.1.3", // qualified certificate statements
}

// readExtensions reads the list. Of an extension that stands twice the first
// counts; one whose content is damaged never widens what the key may do.
func (c *Certificate) readExtensions(list cryptobyte.String) error {
	seen := map[string]bool{}
	for !list.Empty() {
		var ext, value cryptobyte.String
		if !list.ReadASN1(&ext, asn1.SEQUENCE) {
			return malformed("extensions")
		}
		oid, ok := readOID(&ext)
		if !ok {
			return malformed("extension")
		}
		critical := readCritical(&ext)
		if !ext.ReadASN1(&value, asn1.OCTET_STRING) || !ext.Empty() {
			return malformed("extension " + oid.String())
		}
		name := extensionName(oid)
		if len(oid) > 0 && seen[name] {
			continue
		}
		seen[name] = true
		if !c.readExtension(name, value) && critical && !slices.Contains(handledElsewhere, name) {
			c.UnknownCritical = append(c.UnknownCritical, oid)
		}
	}
	return nil
}

// extensionName spells an OID, those that most certificates have without work.
func extensionName(oid encasn1.ObjectIdentifier) string {
	if len(oid) == 4 && oid[0] == 2 && oid[1] == 5 && oid[2] == 29 {
		switch oid[3] {
		case 14:
			return oidSubjectKeyID
		case 15:
			return oidKeyUsage
		case 17:
			return oidSubjectAltName
		case 19:
			return oidBasicConstraints
		case 31:
			return "2.5.29.31"
		case 32:
			return "2.5.29.32"
		case 35:
			return "2.5.29.35"
		case 37:
			return oidExtKeyUsage
		}
	}
	return oid.String()
}

// readCritical reads a BOOLEAN DEFAULT FALSE that may be spelled out, and may
// be true with another value than 0xff.
func readCritical(ext *cryptobyte.String) bool {
	var b cryptobyte.String
	var present bool
	ext.ReadOptionalASN1(&b, &present, asn1.BOOLEAN)
	return present && len(b) == 1 && b[0] != 0
}

// readExtension reads one extension and reports whether it is known.
func (c *Certificate) readExtension(oid string, value cryptobyte.String) bool {
	switch oid {
	case oidSubjectKeyID:
		var id cryptobyte.String
		if value.ReadASN1(&id, asn1.OCTET_STRING) {
			c.SubjectKeyID = id
		}
	case oidKeyUsage:
		c.HasKeyUsage = true
		c.KeyUsage = readKeyUsage(value)
	case oidSubjectAltName:
		c.Addresses = readAddresses(value)
	case oidBasicConstraints:
		var body cryptobyte.String
		c.IsCA = value.ReadASN1(&body, asn1.SEQUENCE) && readCritical(&body)
	case oidExtKeyUsage:
		c.ExtKeyUsage = readExtKeyUsage(value)
	case oidCapabilities:
		c.Capabilities = readCapabilities(value)
	default:
		return false
	}
	return true
}

func readKeyUsage(value cryptobyte.String) x509.KeyUsage {
	var bits encasn1.BitString
	if !value.ReadASN1BitString(&bits) {
		return 0
	}
	var usage x509.KeyUsage
	for i := range 9 {
		usage |= x509.KeyUsage(bits.At(i)) << i
	}
	return usage
}

// readExtKeyUsage never gives an empty list: without any readable purpose the
// key has none, rather than all.
func readExtKeyUsage(value cryptobyte.String) []encasn1.ObjectIdentifier {
	var list cryptobyte.String
	var usages []encasn1.ObjectIdentifier
	value.ReadASN1(&list, asn1.SEQUENCE)
	for !list.Empty() {
		oid, ok := readOID(&list)
		if !ok {
			break
		}
		usages = append(usages, oid)
	}
	if len(usages) == 0 {
		usages = append(usages, encasn1.ObjectIdentifier{})
	}
	return usages
}

// readAddresses takes rfc822Name and SmtpUTF8Mailbox (RFC 9598) out of
// GeneralNames; whatever else stands there, damaged or not, is passed over.
func readAddresses(value cryptobyte.String) []string {
	var names cryptobyte.String
	var addresses []string
	value.ReadASN1(&names, asn1.SEQUENCE)
	for !names.Empty() {
		var name cryptobyte.String
		var tag asn1.Tag
		if !names.ReadAnyASN1(&name, &tag) {
			break
		}
		switch tag {
		case asn1.Tag(1).ContextSpecific():
			addresses = append(addresses, string(name))
		case asn1.Tag(0).ContextSpecific().Constructed():
			if mailbox, ok := readSmtpUTF8Mailbox(name); ok {
				addresses = append(addresses, mailbox)
			}
		}
	}
	return addresses
}

func readSmtpUTF8Mailbox(other cryptobyte.String) (string, bool) {
	var value, text cryptobyte.String
	oid, ok := readOID(&other)
	if !ok || oid.String() != oidSmtpUTF8Mailbox ||
		!other.ReadASN1(&value, asn1.Tag(0).ContextSpecific().Constructed()) ||
		!value.ReadASN1(&text, asn1.UTF8String) {
		return "", false
	}
	return string(text), true
}

// readCapabilities reads SMIMECapabilities (RFC 4262, RFC 8551 section 2.5.2),
// without their parameters.
func readCapabilities(value cryptobyte.String) []encasn1.ObjectIdentifier {
	var list cryptobyte.String
	var capabilities []encasn1.ObjectIdentifier
	value.ReadASN1(&list, asn1.SEQUENCE)
	for !list.Empty() {
		var capability cryptobyte.String
		if !list.ReadASN1(&capability, asn1.SEQUENCE) {
			break
		}
		if oid, ok := readOID(&capability); ok && len(oid) > 0 {
			capabilities = append(capabilities, oid)
		}
	}
	return capabilities
}
