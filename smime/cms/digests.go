package cms

import (
	"crypto"
	"encoding/asn1"
	"hash"

	"golang.org/x/crypto/cryptobyte"
	asn1tag "golang.org/x/crypto/cryptobyte/asn1"

	_ "crypto/sha256" // for crypto.Hash.New
	_ "crypto/sha512"
)

// Digests take the content of a signed message and keep nothing of it but what
// its signatures are compared with.
type Digests struct {
	hashes map[crypto.Hash]hash.Hash
	first  byte // octet of the content
	size   int64
}

// NewDigests makes the digests for a content that comes before its signatures,
// when it is not known yet which digest they use.
func NewDigests() *Digests {
	return newDigests(crypto.SHA256, crypto.SHA384, crypto.SHA512)
}

func newDigests(hashes ...crypto.Hash) *Digests {
	d := &Digests{hashes: map[crypto.Hash]hash.Hash{}}
	for _, h := range hashes {
		d.hashes[h] = h.New()
	}
	return d
}

// Write takes the next octets of the content. There is never an error.
func (d *Digests) Write(p []byte) (int, error) {
	if d.size == 0 && len(p) > 0 {
		d.first = p[0]
	}
	d.size += int64(len(p))
	for _, h := range d.hashes {
		h.Write(p) // never fails
	}
	return len(p), nil
}

// sum is the digest of what was written; nil for one that was not calculated.
func (d *Digests) sum(hash crypto.Hash) []byte {
	if h := d.hashes[hash]; h != nil {
		return h.Sum(nil)
	}
	return nil
}

// A digestKind says how a digest algorithm is dealt with.
type digestKind int

const (
	digestUnknown digestKind = iota
	digestWeak
	digestGood
)

// digestOf finds a digest algorithm.
func digestOf(oid asn1.ObjectIdentifier) (crypto.Hash, digestKind) {
	switch {
	case oid.Equal(oidSHA256):
		return crypto.SHA256, digestGood
	case oid.Equal(oidSHA384):
		return crypto.SHA384, digestGood
	case oid.Equal(oidSHA512):
		return crypto.SHA512, digestGood
	case oid.Equal(oidSHA1), oid.Equal(oidMD5), oid.Equal(oidMD2):
		return 0, digestWeak
	}
	return 0, digestUnknown
}

// announced makes the digests that the field digestAlgorithms names; what is not
// known of them is left out.
func announced(element []byte) *Digests {
	s := cryptobyte.String(element)
	var set cryptobyte.String
	var hashes []crypto.Hash
	s.ReadASN1(&set, asn1tag.SET)
	for !set.Empty() {
		var id algorithmIdentifier
		if !readAlgorithm(&set, &id) {
			break
		}
		if h, kind := digestOf(id.oid); kind == digestGood {
			hashes = append(hashes, h)
		}
	}
	return newDigests(hashes...)
}
