package cms

import (
	"crypto/hkdf"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/asn1"
	"encoding/binary"
	"fmt"
	"hash"

	"golang.org/x/crypto/cryptobyte"
	asn1tag "golang.org/x/crypto/cryptobyte/asn1"
)

// A KDF is the hash that derives the key-encryption key from an ECDH agreement
// (RFC 5753, 7.1.4). SHA-1 is the zero value and the default: as a key
// derivation it is sound, and some readers know no other.
type KDF int

// The hashes of the key derivation.
const (
	KDFSHA1 KDF = iota
	KDFSHA256
	KDFSHA384
	KDFSHA512
)

// String is the name that configuration uses: sha1, sha256, sha384, sha512.
func (k KDF) String() string {
	switch k {
	case KDFSHA1:
		return "sha1"
	case KDFSHA256:
		return "sha256"
	case KDFSHA384:
		return "sha384"
	case KDFSHA512:
		return "sha512"
	}
	return fmt.Sprintf("KDF(%d)", int(k))
}

// ParseKDF is the inverse of String.
func ParseKDF(name string) (KDF, error) {
	for k := KDFSHA1; k <= KDFSHA512; k++ {
		if k.String() == name {
			return k, nil
		}
	}
	return 0, fmt.Errorf("cms: unknown key derivation %q: use sha1, sha256, sha384 or sha512", name)
}

// A scheme is a key agreement algorithm: one-pass ECDH and a derivation.
type scheme struct {
	oid  asn1.ObjectIdentifier
	hash func() hash.Hash
	hkdf bool // RFC 8418, otherwise X9.63
}

// schemes are those for writing, in the order of KDF, then HKDF with SHA-256,
// then those that are only read. Cofactor and plain ECDH are the same on the
// curves of this package, whose cofactor is one, and in X25519.
var schemes = [...]scheme{
	{asn1.ObjectIdentifier{1, 3, 133, 16, 840, 63, 0, 2}, sha1.New, false},
	{asn1.ObjectIdentifier{1, 3, 132, 1, 11, 1}, sha256.New, false},
	{asn1.ObjectIdentifier{1, 3, 132, 1, 11, 2}, sha512.New384, false},
	{asn1.ObjectIdentifier{1, 3, 132, 1, 11, 3}, sha512.New, false},
	{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 3, 19}, sha256.New, true},
	{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 3, 20}, sha512.New384, true},
	{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 3, 21}, sha512.New, true},
	{asn1.ObjectIdentifier{1, 3, 132, 1, 11, 0}, sha256.New224, false},
	{asn1.ObjectIdentifier{1, 3, 133, 16, 840, 63, 0, 3}, sha1.New, false},
	{asn1.ObjectIdentifier{1, 3, 132, 1, 14, 0}, sha256.New224, false},
	{asn1.ObjectIdentifier{1, 3, 132, 1, 14, 1}, sha256.New, false},
	{asn1.ObjectIdentifier{1, 3, 132, 1, 14, 2}, sha512.New384, false},
	{asn1.ObjectIdentifier{1, 3, 132, 1, 14, 3}, sha512.New, false},
}

// schemeHKDF is the index of HKDF with SHA-256.
const schemeHKDF = 4

func findScheme(oid asn1.ObjectIdentifier) (scheme, bool) {
	for _, s := range schemes {
		if s.oid.Equal(oid) {
			return s, true
		}
	}
	return scheme{}, false
}

// derive makes a key-encryption key of size octets. keyInfo is the
// AlgorithmIdentifier of the key wrap exactly as it stands in the message; ukm
// may be nil.
func (s scheme) derive(secret, keyInfo, ukm []byte, size int) ([]byte, error) {
	info := sharedInfo(keyInfo, ukm, size)
	if s.hkdf {
		return hkdf.Key(s.hash, secret, ukm, string(info), size)
	}
	return x963(s.hash, secret, info, size), nil
}

// sharedInfo is the DER of ECC-CMS-SharedInfo (RFC 5753, 7.2).
func sharedInfo(keyInfo, ukm []byte, size int) []byte {
	var b cryptobyte.Builder
	b.AddASN1(asn1tag.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(keyInfo)
		if ukm != nil {
			b.AddASN1(asn1tag.Tag(0).Constructed().ContextSpecific(), func(b *cryptobyte.Builder) {
				b.AddASN1OctetString(ukm)
			})
		}
		b.AddASN1(asn1tag.Tag(2).Constructed().ContextSpecific(), func(b *cryptobyte.Builder) {
			b.AddASN1OctetString(binary.BigEndian.AppendUint32(nil, uint32(8*size)))
		})
	})
	return b.BytesOrPanic()
}

// x963 is the key derivation function of ANSI X9.63 (SEC 1, 3.6.1).
func x963(newHash func() hash.Hash, secret, info []byte, size int) []byte {
	h := newHash()
	var out []byte
	for i := uint32(1); len(out) < size; i++ {
		h.Reset()
		h.Write(secret)
		h.Write(binary.BigEndian.AppendUint32(nil, i))
		h.Write(info)
		out = h.Sum(out)
	}
	return out[:size]
}
