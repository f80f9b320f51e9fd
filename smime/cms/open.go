package cms

import (
	"bytes"
	"crypto"
	"errors"
	"io"

	"sealpost/internal/certificate"
)

// DefaultMaxSize is the largest encrypted content that Open takes when the
// options say nothing, in octets.
const DefaultMaxSize = 128 << 20

// OpenOptions says whose message is opened.
type OpenOptions struct {
	Certificate *certificate.Certificate // issuer, serial number and key identifier find the recipient
	Key         crypto.PrivateKey        // *rsa.PrivateKey, *ecdsa.PrivateKey or *ecdh.PrivateKey
	MaxSize     int64                    // octets of encrypted content; 0 is DefaultMaxSize
}

// Open reads one message, EnvelopedData or AuthEnvelopedData in DER or BER, to
// the end of r, and decrypts its content. All of the content is held in memory
// and nothing is given out before it is verified as far as its cipher allows.
//
// The error is a *FormatError when the message is not well-formed or not
// supported, ErrNoRecipient when it is for others, ErrTooLarge above MaxSize,
// and ErrDecrypt for everything that depends on the key. CBC has no
// authentication: with it, a few damaged messages in a thousand open to garbage.
func Open(r io.Reader, opts OpenOptions) ([]byte, error) {
	if opts.Certificate == nil || opts.Key == nil {
		return nil, errors.New("cms: Open needs a certificate and its key")
	}
	m, err := readMessage(r, opts.MaxSize)
	if err != nil {
		return nil, err
	}
	info, key, err := m.find(opts.Certificate)
	if err != nil {
		return nil, err
	}
	unwrap, err := newUnwrapper(info, opts.Key)
	if err != nil {
		return nil, err
	}
	// From here on nothing may tell what went wrong, nor leave a step out: a key
	// that does not come out is replaced by a random one.
	cek, sound := unwrap(key.encrypted, m.cipher.keySize)
	defer clear(cek)
	plaintext, ok := m.cipher.decrypt(cek, m.ciphertext, m.mac, m.authAttrs)
	if !sound || !ok {
		clear(m.ciphertext)
		return nil, ErrDecrypt
	}
	return plaintext, nil
}

// A message is one that was read, but not decrypted.
type message struct {
	cipher     contentCipher
	recipients []recipientInfo
	ciphertext []byte
	mac        []byte
	authAttrs  []byte // as authenticated: a SET OF; nil without
}

func readMessage(r io.Reader, maxSize int64) (*message, error) {
	if maxSize <= 0 {
		maxSize = DefaultMaxSize
	}
	m := &message{}
	e := newEnvelope(func(p []byte) error {
		if int64(len(m.ciphertext)+len(p)) > maxSize {
			return ErrTooLarge
		}
		m.ciphertext = append(m.ciphertext, p...)
		return nil
	}, encryptedTypes()...)
	// What is not content must not go on for ever either, such as empty segments.
	limited := &io.LimitedReader{R: r, N: 4*min(maxSize, 1<<56) + 4*maxHead}
	if _, err := io.Copy(e, limited); err != nil {
		return nil, err
	}
	if limited.N <= 0 {
		return nil, ErrTooLarge
	}
	if err := e.finish(); err != nil {
		return nil, err
	}
	return m, m.interpret(e)
}

// interpret gives the parts of the envelope their meaning.
func (m *message) interpret(e *envelope) error {
	var err error
	if m.recipients, err = parseRecipients(e.parts[partRecipients]); err != nil {
		return err
	}
	if m.cipher, err = parseContentAlgorithm(e.parts[partAlgorithm]); err != nil {
		return err
	}
	if !m.cipher.opens {
		return malformed(fieldAlgorithm, "%s is not supported for opening", m.cipher.name)
	}
	if m.cipher.aead() && len(m.cipher.iv) != gcmNonceSize && m.cipher.tagSize != gcmTagSize {
		return malformed(fieldAlgorithm, "nonce of %d octets with a tag of %d is not supported", len(m.cipher.iv), m.cipher.tagSize)
	}
	if !bytes.Equal(e.parts[partInnerType], oidDER(oidData)) {
		return malformed("contentType", "the encrypted content is not data")
	}
	if err := checkCipher(e, m.cipher); err != nil {
		return err
	}
	m.mac, _ = octetString(e.parts[partMAC])
	m.authAttrs = attributesAsSet(e.parts[partAuthAttrs])
	return nil
}

// find looks for the certificate among the recipients: by issuer and serial
// number or by key identifier, and failing that by serial number alone, because
// there are senders that encode the issuer's name anew.
func (m *message) find(cert *certificate.Certificate) (*recipientInfo, *encryptedKey, error) {
	issuer, ok := asDER(cert.RawIssuer)
	if !ok {
		issuer = cert.RawIssuer
	}
	serial, ok := asDER(cert.RawSerial)
	if !ok {
		serial = cert.RawSerial
	}
	for _, strict := range []bool{true, false} {
		for i := range m.recipients {
			for j := range m.recipients[i].keys {
				key := &m.recipients[i].keys[j]
				same := len(key.serial) > 0 && sameInteger(key.serial, serial) && (!strict || bytes.Equal(key.issuer, issuer))
				if same || len(key.keyID) > 0 && bytes.Equal(key.keyID, cert.SubjectKeyID) {
					return &m.recipients[i], key, nil
				}
			}
		}
	}
	return nil, nil, ErrNoRecipient
}
