package spool

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"fmt"

	"golang.org/x/crypto/chacha20poly1305"
)

// sealOverhead is what sealing adds to a text: the nonce and the tag.
const sealOverhead = chacha20poly1305.NonceSizeX + chacha20poly1305.Overhead

// A sealer seals small texts with XChaCha20-Poly1305. Its nonces are long
// enough to be drawn by chance for ever, which a log that is cut and written
// again after a crash needs: a counter would come twice.
type sealer struct{ aead cipher.AEAD }

// sealers are the keys of one spool, one for each kind of text, so that none
// can stand where another belongs.
type sealers struct{ segment, journal, meta sealer }

// derive makes the spool's symmetric keys from its identity.
func (k *Key) derive() (sealers, error) {
	var all sealers
	for purpose, s := range map[string]*sealer{"segment": &all.segment, "journal": &all.journal, "meta": &all.meta} {
		key, err := hkdf.Key(sha256.New, []byte(k.identity.String()), nil, "sealpost spool 1 "+purpose, chacha20poly1305.KeySize)
		if err != nil {
			return all, err
		}
		if s.aead, err = chacha20poly1305.NewX(key); err != nil {
			return all, err
		}
	}
	return all, nil
}

// seal appends nonce, ciphertext and tag to dst; context is authenticated with
// them.
func (s sealer) seal(dst, plain, context []byte) []byte {
	n := len(dst)
	dst = append(dst, make([]byte, chacha20poly1305.NonceSizeX)...)
	rand.Read(dst[n:])
	return s.aead.Seal(dst, dst[n:], plain, context)
}

// open is the reverse of seal.
func (s sealer) open(sealed, context []byte) ([]byte, error) {
	if len(sealed) < sealOverhead {
		return nil, fmt.Errorf("%w: sealed text is cut off", ErrDamaged)
	}
	nonce, text := sealed[:chacha20poly1305.NonceSizeX], sealed[chacha20poly1305.NonceSizeX:]
	plain, err := s.aead.Open(nil, nonce, text, context)
	if err != nil {
		return nil, fmt.Errorf("%w: sealed text does not authenticate", ErrDamaged)
	}
	return plain, nil
}
