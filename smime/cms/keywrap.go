package cms

import (
	"crypto/aes"
	"crypto/subtle"
	"encoding/asn1"
	"encoding/binary"
)

// wrapIV is the initial value of the AES key wrap (RFC 3394, 2.2.3.1).
const wrapIV = 0xa6a6a6a6a6a6a6a6

// wrapKey wraps a key of whole 8-octet blocks, at least two (RFC 3394, 2.2.1).
func wrapKey(kek, key []byte) ([]byte, error) {
	block, err := aes.NewCipher(kek)
	if err != nil {
		return nil, err
	}
	n := len(key) / 8
	out := make([]byte, 8+len(key))
	copy(out[8:], key)
	var b [16]byte
	a := uint64(wrapIV)
	for j := range 6 {
		for i := 1; i <= n; i++ {
			binary.BigEndian.PutUint64(b[:8], a)
			copy(b[8:], out[8*i:])
			block.Encrypt(b[:], b[:])
			a = binary.BigEndian.Uint64(b[:8]) ^ uint64(n*j+i)
			copy(out[8*i:8*i+8], b[8:])
		}
	}
	binary.BigEndian.PutUint64(out, a)
	return out, nil
}

// unwrapKey reverses wrapKey and tells whether the integrity check held
// (RFC 3394, 2.2.2).
func unwrapKey(kek, wrapped []byte) ([]byte, bool) {
	block, err := aes.NewCipher(kek)
	if err != nil || len(wrapped) < 24 || len(wrapped) > maxWrappedKey || len(wrapped)%8 != 0 {
		return nil, false
	}
	n := len(wrapped)/8 - 1
	out := append([]byte(nil), wrapped[8:]...)
	var b [16]byte
	a := binary.BigEndian.Uint64(wrapped)
	for j := 5; j >= 0; j-- {
		for i := n; i >= 1; i-- {
			binary.BigEndian.PutUint64(b[:8], a^uint64(n*j+i))
			copy(b[8:], out[8*i-8:])
			block.Decrypt(b[:], b[:])
			a = binary.BigEndian.Uint64(b[:8])
			copy(out[8*i-8:8*i], b[8:])
		}
	}
	var check, want [8]byte
	binary.BigEndian.PutUint64(check[:], a)
	binary.BigEndian.PutUint64(want[:], wrapIV)
	return out, subtle.ConstantTimeCompare(check[:], want[:]) == 1
}

// maxWrappedKey bounds the work that a hostile message can ask for, in octets.
const maxWrappedKey = 128

// wrapOID names the AES key wrap of a key-encryption key of so many octets.
func wrapOID(kekSize int) asn1.ObjectIdentifier {
	switch kekSize {
	case 16:
		return oidAES128Wrap
	case 24:
		return oidAES192Wrap
	default:
		return oidAES256Wrap
	}
}

// wrapKeySize is the inverse of wrapOID; 0 for an unknown algorithm.
func wrapKeySize(oid asn1.ObjectIdentifier) int {
	for _, size := range []int{16, 24, 32} {
		if wrapOID(size).Equal(oid) {
			return size
		}
	}
	return 0
}
