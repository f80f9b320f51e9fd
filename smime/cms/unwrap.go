package cms

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha1" // OAEP's default hash

	"encoding/asn1"

	"golang.org/x/crypto/cryptobyte"
	asn1tag "golang.org/x/crypto/cryptobyte/asn1"
)

// An unwrapper takes a content-encryption key of keySize octets out of its
// protection. It always gives a key of that size, a random one when there was
// none to be had; sound is false only where the protection itself is
// authenticated and saying so helps no attacker.
type unwrapper func(encrypted []byte, keySize int) (cek []byte, sound bool)

const fieldKeyEncryption = "keyEncryptionAlgorithm"

// newUnwrapper looks only at what is public: algorithms, and the kind of the key.
func newUnwrapper(info *recipientInfo, key crypto.PrivateKey) (unwrapper, error) {
	switch key := key.(type) {
	case *rsa.PrivateKey:
		if info.kind == tagTransport {
			return transportUnwrapper(info, key)
		}
	case *ecdsa.PrivateKey:
		if info.kind == tagAgreement {
			k, err := key.ECDH()
			if err != nil {
				return nil, err
			}
			return agreementUnwrapper(info, k)
		}
	case *ecdh.PrivateKey:
		if info.kind == tagAgreement {
			return agreementUnwrapper(info, key)
		}
	}
	return nil, malformed(fieldRecipients, "the recipient's kind does not go with a key of type %T", key)
}

func randomKey(size int) []byte {
	key := make([]byte, size)
	rand.Read(key) // never fails
	return key
}

func transportUnwrapper(info *recipientInfo, key *rsa.PrivateKey) (unwrapper, error) {
	switch {
	case info.algorithm.oid.Equal(oidRSAEncryption):
		return func(encrypted []byte, keySize int) ([]byte, bool) {
			cek := randomKey(keySize)
			// The error depends on public values only; the padding decides in
			// constant time whether cek is overwritten.
			//lint:ignore SA1019 mail that is to be read is made with it
			_ = rsa.DecryptPKCS1v15SessionKey(nil, key, encrypted, cek)
			return cek, true
		}, nil
	case info.algorithm.oid.Equal(oidRSAESOAEP):
		opts, ok := parseOAEP(info.algorithm.params)
		if !ok {
			return nil, malformed(fieldKeyEncryption, "unsupported parameters of RSAES-OAEP")
		}
		return func(encrypted []byte, keySize int) ([]byte, bool) {
			cek, err := key.Decrypt(nil, encrypted, opts)
			if err != nil || len(cek) != keySize {
				return randomKey(keySize), false
			}
			return cek, true
		}, nil
	}
	return nil, malformed(fieldKeyEncryption, "%v is not supported", info.algorithm.oid)
}

// parseOAEP reads RSAES-OAEP-params (RFC 4055, 4.1); everything in it has a default.
func parseOAEP(der []byte) (*rsa.OAEPOptions, bool) {
	opts := &rsa.OAEPOptions{Hash: crypto.SHA1, MGFHash: crypto.SHA1}
	s := cryptobyte.String(der)
	var seq cryptobyte.String
	if s.Empty() {
		return opts, true
	}
	if !s.ReadASN1(&seq, asn1tag.SEQUENCE) || !s.Empty() {
		return nil, false
	}
	for tag := asn1tag.Tag(0xa0); tag <= 0xa2; tag++ {
		var explicit cryptobyte.String
		var id algorithmIdentifier
		var present bool
		if !seq.ReadOptionalASN1(&explicit, &present, tag) {
			return nil, false
		}
		if !present {
			continue
		}
		if !readAlgorithm(&explicit, &id) || !explicit.Empty() || !setOAEP(opts, tag, id) {
			return nil, false
		}
	}
	return opts, seq.Empty()
}

func setOAEP(opts *rsa.OAEPOptions, tag asn1tag.Tag, id algorithmIdentifier) (ok bool) {
	switch tag {
	case 0xa0:
		opts.Hash, ok = findHash(id.oid)
	case 0xa1:
		mgf, isAlgorithm := parseAlgorithm(id.params)
		if !isAlgorithm || !id.oid.Equal(oidMGF1) {
			return false
		}
		opts.MGFHash, ok = findHash(mgf.oid)
	case 0xa2:
		s := cryptobyte.String(id.params)
		ok = id.oid.Equal(oidPSpecified) && readOctets(&s, &opts.Label) && s.Empty()
	}
	return ok
}

func findHash(oid asn1.ObjectIdentifier) (crypto.Hash, bool) {
	switch {
	case oid.Equal(oidSHA1):
		return crypto.SHA1, true
	case oid.Equal(oidSHA224):
		return crypto.SHA224, true
	case oid.Equal(oidSHA256):
		return crypto.SHA256, true
	case oid.Equal(oidSHA384):
		return crypto.SHA384, true
	case oid.Equal(oidSHA512):
		return crypto.SHA512, true
	}
	return 0, false
}
