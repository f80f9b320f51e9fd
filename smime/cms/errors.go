package cms

import (
	"errors"
	"fmt"
)

var (
	// ErrDecrypt says that the content does not decrypt. A wrong key, a damaged
	// encrypted key, bad padding and a wrong authentication tag all look the same
	// on purpose: telling them apart is what padding oracles live on (RFC 3218,
	// RFC 8551 appendix B).
	ErrDecrypt = errors.New("cms: content does not decrypt: wrong key or damaged message")

	// ErrNoRecipient says that no recipient of the message is the given certificate.
	ErrNoRecipient = errors.New("cms: message is not encrypted to this certificate")

	// ErrTooLarge says that the content exceeds what the caller or the cipher allows.
	ErrTooLarge = errors.New("cms: content too large")

	// What follows says why a signature is not believed; SignedData.Verify wraps it.

	ErrSignature   = errors.New("cms: the signature does not verify")
	ErrDigest      = errors.New("cms: the content is not what was signed")
	ErrAttributes  = errors.New("cms: the signed attributes are not as RFC 5652 demands")
	ErrWeakDigest  = errors.New("cms: the signature uses MD5 or SHA-1")
	ErrUnsupported = errors.New("cms: the signature's algorithm is not supported")
	ErrNoSigner    = errors.New("cms: the signer's certificate is not in the message")

	// ErrState says that a Content was used out of order: encrypted twice, asked
	// for a prefix before its end, or used after Destroy.
	ErrState = errors.New("cms: content used out of order")
)

// A FormatError says where a message is not what the standards or this package
// allow. It never depends on secret values.
type FormatError struct {
	Field   string // ASN.1 name of the innermost field, such as "recipientInfos"
	Offset  int64  // octets of the message that had been read
	Problem string // for people
}

func (e *FormatError) Error() string {
	return fmt.Sprintf("cms: %s at octet %d: %s", e.Field, e.Offset, e.Problem)
}

// malformed makes a FormatError; the decoder adds the offset.
func malformed(field, format string, args ...any) error {
	return &FormatError{Field: field, Problem: fmt.Sprintf(format, args...)}
}

// A KeyError says why a certificate's key cannot be encrypted to.
type KeyError struct {
	Key     string // name of the key for people, such as "RSA 512"
	Problem string
}

func (e *KeyError) Error() string {
	return fmt.Sprintf("cms: cannot encrypt to %s key: %s", e.Key, e.Problem)
}
