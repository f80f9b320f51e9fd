package cms

import (
	"crypto/rand"
	"fmt"
	"io"
	"slices"
	"sync"

	"golang.org/x/crypto/cryptobyte"
	asn1tag "golang.org/x/crypto/cryptobyte/asn1"
)

// A Content is one encrypted content with its key. It is encrypted once; after
// that any number of prefixes can be made for it, also concurrently.
type Content struct {
	cipher Cipher
	iv     []byte // CBC: initialization vector; GCM: nonce

	mu    sync.Mutex // guards the rest
	key   []byte     // nil after Destroy
	state contentState
	size  int64  // octets of ciphertext
	tag   []byte // GCM
}

type contentState int

const (
	contentNew contentState = iota
	contentStarted
	contentComplete
)

const (
	gcmNonceSize = 12
	gcmTagSize   = 16
)

// NewContent makes a content with a fresh random key.
func NewContent(c Cipher) (*Content, error) {
	if !c.valid() {
		return nil, fmt.Errorf("cms: no such cipher: %v", c)
	}
	content := &Content{cipher: c, key: make([]byte, c.algorithm().keySize)}
	content.iv = make([]byte, gcmNonceSize)
	if !c.AEAD() {
		content.iv = make([]byte, c.algorithm().block)
	}
	rand.Read(content.key) // never fails
	rand.Read(content.iv)
	return content, nil
}

// Cipher is the cipher of the content.
func (c *Content) Cipher() Cipher { return c.cipher }

// Encrypt gives the writer that takes the plaintext. Ciphertext goes to dst in
// writes of 64 KiB, the last one shorter. Closing the writer completes the
// content; it does not close dst. Memory does not grow with the content.
//
// A content is encrypted once, for a key stream must not be used twice: the
// writer of a second call fails with ErrState.
func (c *Content) Encrypt(dst io.Writer) io.WriteCloser {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state != contentNew || c.key == nil {
		return &contentWriter{err: ErrState}
	}
	c.state = contentStarted
	enc, err := newChunkCipher(c.cipher, c.key, c.iv)
	if err != nil {
		return &contentWriter{err: err}
	}
	return &contentWriter{content: c, dst: dst, enc: enc, buf: getBuffer()}
}

func (c *Content) complete(size int64, tag []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state, c.size, c.tag = contentComplete, size, tag
}

// Size is the size of the ciphertext in octets, once the content is complete.
func (c *Content) Size() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.size
}

// Suffix is what follows the ciphertext: the message authentication code of an
// AuthEnvelopedData, nil for an EnvelopedData. It is known once the content is complete.
func (c *Content) Suffix() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.suffix()
}

func (c *Content) suffix() []byte {
	if c.tag == nil {
		return nil
	}
	return append(appendHeader(nil, tagOctetString, int64(len(c.tag))), c.tag...)
}

// Destroy wipes the key. What has been made stays valid; Prefix fails from now on.
func (c *Content) Destroy() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.key)
	c.key = nil
}

// Prefix is everything before the ciphertext, in DER, for a copy that goes to
// these recipients. Each call protects the key anew. The content must be complete.
func (c *Content) Prefix(to ...Recipient) ([]byte, error) {
	c.mu.Lock()
	key, size, suffix, state := slices.Clone(c.key), c.size, c.suffix(), c.state
	c.mu.Unlock()
	defer clear(key)
	if state != contentComplete || key == nil {
		return nil, ErrState
	}
	head, err := c.head(key, to)
	if err != nil {
		return nil, err
	}
	inner := c.encryptedContentInfo()
	inner = appendHeader(inner, tagContent, size)
	innerSize := int64(len(inner)) + size
	envelopeSize := int64(len(head)) + elementSize(innerSize) + int64(len(suffix))
	explicitSize := elementSize(envelopeSize)
	contentType := c.contentType()

	b := make([]byte, 0, len(head)+len(inner)+len(contentType)+64)
	b = appendHeader(b, tagSequence, int64(len(contentType))+elementSize(explicitSize))
	b = append(b, contentType...)
	b = appendHeader(b, tagExplicit0, explicitSize)
	b = appendHeader(b, tagSequence, envelopeSize)
	b = append(b, head...)
	b = appendHeader(b, tagSequence, innerSize)
	return append(b, inner...), nil
}

// head is version and recipientInfos.
func (c *Content) head(key []byte, to []Recipient) ([]byte, error) {
	set, version, err := recipientInfos(key, to)
	if err != nil {
		return nil, err
	}
	if c.cipher.AEAD() {
		version = 0 // AuthEnvelopedData, always (RFC 5083, 2.1)
	}
	return append([]byte{tagInteger, 1, version}, set...), nil
}

func (c *Content) contentType() []byte {
	if c.cipher.AEAD() {
		return oidDER(oidAuthEnvelopedData)
	}
	return oidDER(oidEnvelopedData)
}

// encryptedContentInfo is contentType and contentEncryptionAlgorithm of the
// EncryptedContentInfo, without its header.
func (c *Content) encryptedContentInfo() []byte {
	var params cryptobyte.Builder
	if c.cipher.AEAD() {
		params.AddASN1(asn1tag.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1OctetString(c.iv)
			b.AddASN1Int64(gcmTagSize) // the default would be 12
		})
	} else {
		params.AddASN1OctetString(c.iv)
	}
	return append(oidDER(oidData), algorithmDER(c.cipher.algorithm().oid, params.BytesOrPanic())...)
}
