package cms

import (
	"encoding/asn1"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	asn1tag "golang.org/x/crypto/cryptobyte/asn1"
)

// Identifier octets of the outer structure.
const (
	tagInteger       = 0x02
	tagOctetString   = 0x04
	tagOID           = 0x06
	tagSequence      = 0x30
	tagSet           = 0x31
	tagConstructed   = 0x20
	tagExplicit0     = 0xa0 // [0], constructed
	tagContent       = 0x80 // encryptedContent [0] IMPLICIT OCTET STRING, primitive
	tagAttributes1   = 0xa1
	tagAttributes2   = 0xa2
	lengthIndefinite = 0x80
)

// appendHeader appends identifier and definite length octets. The length is an
// int64 because the content of an element may be larger than memory.
func appendHeader(b []byte, tag byte, length int64) []byte {
	b = append(b, tag)
	if length < 0x80 {
		return append(b, byte(length))
	}
	n := headerSize(length) - 2
	b = append(b, 0x80|byte(n))
	for n--; n >= 0; n-- {
		b = append(b, byte(length>>(8*n)))
	}
	return b
}

// headerSize is the size of identifier and length octets in front of length octets.
func headerSize(length int64) int {
	n := 2
	if length >= 0x80 {
		for ; length > 0; length >>= 8 {
			n++
		}
	}
	return n
}

// elementSize is the size of an element with so many octets of content.
func elementSize(length int64) int64 { return int64(headerSize(length)) + length }

// algorithmDER encodes an AlgorithmIdentifier. Nil parameters are left out.
func algorithmDER(oid asn1.ObjectIdentifier, params []byte) []byte {
	var b cryptobyte.Builder
	b.AddASN1(asn1tag.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(oid)
		b.AddBytes(params)
	})
	return b.BytesOrPanic()
}

func oidDER(oid asn1.ObjectIdentifier) []byte {
	var b cryptobyte.Builder
	b.AddASN1ObjectIdentifier(oid)
	return b.BytesOrPanic()
}

// nullDER is an ASN.1 NULL.
func nullDER() []byte { return []byte{0x05, 0x00} }

// setOf encodes a SET OF in DER's order (X.690, 11.6).
func setOf(elements [][]byte) []byte {
	slices.SortFunc(elements, slices.Compare)
	var size int64
	for _, e := range elements {
		size += int64(len(e))
	}
	b := appendHeader(make([]byte, 0, elementSize(size)), tagSet, size)
	for _, e := range elements {
		b = append(b, e...)
	}
	return b
}
