package cms

import (
	"bytes"
	"crypto"
	"crypto/subtle"
	"errors"
	"fmt"

	"sealpost/internal/certificate"
)

// maxTries is how many certificates are tried that a signature may mean.
const maxTries = 8

// Verify tells whether the signature is good, and which certificate made it. It
// says nothing about whether to trust that certificate. Errors, to be found with
// errors.Is, in the order in which they are looked for: ErrWeakDigest,
// ErrUnsupported, ErrAttributes, ErrDigest, ErrNoSigner, ErrSignature.
func (d *SignedData) Verify(s *Signer) (*certificate.Certificate, error) {
	hash, err := s.hash()
	if err != nil {
		return nil, err
	}
	if d.digests == nil {
		return nil, fmt.Errorf("%w: it is not there", ErrDigest)
	}
	content := d.digests.sum(hash)
	if content == nil {
		return nil, fmt.Errorf("%w: digestAlgorithms does not name its digest", ErrAttributes)
	}
	digest, err := s.check(d, hash, content)
	if err != nil {
		return nil, err
	}
	err = ErrNoSigner
	tries := 0
	for _, c := range d.Certificates {
		if !s.id.Names(c) || tries == maxTries {
			continue
		}
		tries++
		if err = s.verify(c, hash, digest); err == nil {
			return c, nil
		}
	}
	return nil, err
}

// Names tells whether the signature says that this certificate made it.
func (s *Signer) Names(c *certificate.Certificate) bool { return s.id.Names(c) }

// hash is the digest algorithm of the signature.
func (s *Signer) hash() (crypto.Hash, error) {
	hash, kind := digestOf(s.digest.oid)
	switch kind {
	case digestWeak:
		return 0, ErrWeakDigest
	case digestUnknown:
		return 0, fmt.Errorf("%w: digest %v", ErrUnsupported, s.digest.oid)
	}
	if !absentOrNull(s.digest.params) {
		return 0, fmt.Errorf("%w: digest with parameters", ErrUnsupported)
	}
	return hash, nil
}

func absentOrNull(params []byte) bool {
	return len(params) == 0 || bytes.Equal(params, nullDER())
}

// check compares the content with what the signed attributes say (RFC 5652
// section 5.6), and gives the digest of what was signed.
func (s *Signer) check(d *SignedData, hash crypto.Hash, content []byte) ([]byte, error) {
	if s.signed == nil {
		if !d.ContentType.Equal(oidData) {
			return nil, fmt.Errorf("%w: there are none, and the content is not data", ErrAttributes)
		}
		// Who takes the attributes out of a message and makes them its content has
		// a signature that verifies. No MIME entity begins like such attributes.
		if d.digests.size > 0 && d.digests.first == tagSet {
			return nil, fmt.Errorf("%w: there are none, and the content looks like some", ErrAttributes)
		}
		return content, nil
	}
	switch {
	case s.attrs.twice:
		return nil, fmt.Errorf("%w: one stands twice or has another number of values", ErrAttributes)
	case !s.attrs.contentType.Equal(d.ContentType):
		return nil, fmt.Errorf("%w: contentType is another one", ErrAttributes)
	case s.attrs.digest == nil:
		return nil, fmt.Errorf("%w: no messageDigest", ErrAttributes)
	case subtle.ConstantTimeCompare(s.attrs.digest, content) != 1:
		return nil, ErrDigest
	}
	h := hash.New()
	h.Write(s.signed) // never fails
	return h.Sum(nil), nil
}

// errKey says that a certificate's key and a signature's algorithm do not go together.
var errKey = errors.New("the certificate's key is not of the algorithm's kind")
