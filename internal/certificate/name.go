package certificate

import (
	encasn1 "encoding/asn1"
	"slices"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

const (
	oidEmailAddress  = "1.2.840.113549.1.9.1"
	nameEmailAddress = "emailAddress"
)

// attributeName is the short name of an attribute type (RFC 4519), or its OID.
// Those of 2.5.4 are in every name: they are told apart without spelling them.
func attributeName(oid encasn1.ObjectIdentifier) string {
	if len(oid) == 4 && oid[0] == 2 && oid[1] == 5 && oid[2] == 4 {
		switch oid[3] {
		case 3:
			return "CN"
		case 4:
			return "SN"
		case 5:
			return "serialNumber"
		case 6:
			return "C"
		case 7:
			return "L"
		case 8:
			return "ST"
		case 9:
			return "street"
		case 10:
			return "O"
		case 11:
			return "OU"
		case 12:
			return "title"
		case 42:
			return "GN"
		case 65:
			return "pseudonym"
		case 97:
			return "organizationIdentifier"
		}
	}
	switch text := oid.String(); text {
	case "0.9.2342.19200300.100.1.1":
		return "UID"
	case "0.9.2342.19200300.100.1.25":
		return "DC"
	case oidEmailAddress:
		return nameEmailAddress
	default:
		return text
	}
}

// Name writes a Name (RFC 5280 section 4.1.2.4) for people, given its DER.
func Name(der []byte) string {
	text, _ := readName(der)
	return text
}

// readName writes a Name for people, most specific attribute first as RFC 4514
// has it, cut off where it is very long, and collects its e-mail addresses. What
// cannot be read is left out.
func readName(element cryptobyte.String) (text string, addresses []string) {
	var rdns cryptobyte.String
	var parts []string
	element.ReadASN1(&rdns, asn1.SEQUENCE)
	for !rdns.Empty() {
		var rdn cryptobyte.String
		if !rdns.ReadASN1(&rdn, asn1.SET) {
			break
		}
		for !rdn.Empty() {
			var attribute, value cryptobyte.String
			var tag asn1.Tag
			if !rdn.ReadASN1(&attribute, asn1.SEQUENCE) {
				break
			}
			oid, ok := readOID(&attribute)
			if !ok || !attribute.ReadAnyASN1(&value, &tag) {
				continue
			}
			s := readString(tag, value)
			name := attributeName(oid)
			if name == nameEmailAddress {
				addresses = append(addresses, s)
			}
			parts = append(parts, name+"="+printable(s))
		}
	}
	slices.Reverse(parts)
	return brief(strings.Join(parts, ", ")), addresses
}

// maxName is the length in bytes up to which a name is shown.
const maxName = 1000

// brief cuts off what would fill a log: names may be as long as the certificate.
func brief(text string) string {
	if len(text) <= maxName {
		return text
	}
	text = text[:maxName]
	for !utf8.ValidString(text) { // printable has left nothing else invalid in it
		text = text[:len(text)-1]
	}
	return text + "…"
}

// readString decodes a DirectoryString. Bytes that are not UTF-8 where UTF-8
// or ASCII should be are taken as Latin-1, which is what they mostly are.
func readString(tag asn1.Tag, value []byte) string {
	const bmpString, universalString = asn1.Tag(30), asn1.Tag(28)
	switch {
	case tag == bmpString && len(value)%2 == 0:
		units := make([]uint16, len(value)/2)
		for i := range units {
			units[i] = uint16(value[2*i])<<8 | uint16(value[2*i+1])
		}
		return string(utf16.Decode(units))
	case tag == universalString && len(value)%4 == 0:
		var b strings.Builder
		for ; len(value) > 0; value = value[4:] {
			b.WriteRune(rune(value[0])<<24 | rune(value[1])<<16 | rune(value[2])<<8 | rune(value[3]))
		}
		return b.String()
	case utf8.Valid(value):
		return string(value)
	}
	runes := make([]rune, len(value))
	for i, c := range value {
		runes[i] = rune(c)
	}
	return string(runes)
}

// printable keeps what a terminal or a log may be shown; names come from
// strangers.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, s)
}
