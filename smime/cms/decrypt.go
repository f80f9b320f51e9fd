package cms

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/subtle"

	"golang.org/x/crypto/cryptobyte"
	asn1tag "golang.org/x/crypto/cryptobyte/asn1"
)

// decrypt decrypts in place. It is false for a bad key, bad padding and a bad tag alike.
func (c *contentCipher) decrypt(key, ciphertext, mac, authAttrs []byte) ([]byte, bool) {
	newBlock := aes.NewCipher
	if c.block == des.BlockSize {
		newBlock = des.NewTripleDESCipher
	}
	block, err := newBlock(key)
	if err != nil {
		return nil, false
	}
	if c.mode == modeCBC {
		cipher.NewCBCDecrypter(block, c.iv).CryptBlocks(ciphertext, ciphertext)
		return unpad(ciphertext, c.block)
	}
	aead, err := c.newGCM(block)
	if err != nil {
		return nil, false
	}
	plaintext, err := aead.Open(ciphertext[:0], c.iv, append(ciphertext, mac...), authAttrs)
	return plaintext, err == nil
}

func (c *contentCipher) newGCM(block cipher.Block) (cipher.AEAD, error) {
	if len(c.iv) == gcmNonceSize {
		return cipher.NewGCMWithTagSize(block, c.tagSize)
	}
	return cipher.NewGCMWithNonceSize(block, len(c.iv))
}

// unpad takes off the padding of RFC 5652, 6.3, in a time that does not depend on it.
func unpad(p []byte, block int) ([]byte, bool) {
	pad := int(p[len(p)-1])
	good := subtle.ConstantTimeLessOrEq(1, pad) & subtle.ConstantTimeLessOrEq(pad, block)
	for i := range block {
		inside := subtle.ConstantTimeLessOrEq(i+1, pad)
		same := subtle.ConstantTimeByteEq(p[len(p)-1-i], byte(pad))
		good &= same | (1 - inside)
	}
	n := len(p) - subtle.ConstantTimeSelect(good, pad, 0)
	return p[:n], good == 1
}

// checkCipher holds the algorithm against the rest of the envelope: all of this
// is public, and it makes decryption safe to call.
func checkCipher(e *envelope, c contentCipher) error {
	if c.aead() != e.authenticated() {
		return malformed(fieldAlgorithm, "%s does not belong into this content type", c.name)
	}
	if !c.aead() {
		if e.size == 0 || e.size%int64(c.block) != 0 {
			return malformed("encryptedContent", "%d octets are not whole blocks of %s", e.size, c.name)
		}
		return nil
	}
	mac, ok := octetString(e.parts[partMAC])
	if !ok || len(mac) != c.tagSize {
		return malformed("mac", "%d octets instead of %d", len(mac), c.tagSize)
	}
	return nil
}

func octetString(element []byte) (content []byte, ok bool) {
	s := cryptobyte.String(element)
	return content, readOctets(&s, &content) && s.Empty()
}

// attributesAsSet is the form in which attributes are authenticated: with the
// tag of a SET OF and in its order (RFC 5083, 2.2). Nil without attributes.
func attributesAsSet(element []byte) []byte {
	s := cryptobyte.String(element)
	var content cryptobyte.String
	var tag asn1tag.Tag
	if !s.ReadAnyASN1(&content, &tag) {
		return nil
	}
	var attributes [][]byte
	for !content.Empty() {
		var attribute cryptobyte.String
		if !content.ReadAnyASN1Element(&attribute, &tag) {
			return nil
		}
		attributes = append(attributes, attribute)
	}
	return setOf(attributes)
}
