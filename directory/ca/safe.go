package ca

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"filippo.io/age"
	"filippo.io/age/armor"
)

// ErrPassphrase says that a passphrase does not open the root's key, or is too
// short to protect it.
var ErrPassphrase = errors.New("the passphrase is not right")

// MinPassphrase is the least number of bytes of a passphrase.
const MinPassphrase = 12

// maxSealed bounds what is read of a sealed key, in bytes.
const maxSealed = 64 << 10

// SealKey encrypts the root's key under a passphrase, as any program for the age
// format opens it (age-encryption.org/v1, with scrypt).
func SealKey(key, passphrase []byte) ([]byte, error) {
	if len(passphrase) < MinPassphrase {
		return nil, fmt.Errorf("%w: it needs %d characters", ErrPassphrase, MinPassphrase)
	}
	to, err := age.NewScryptRecipient(string(passphrase))
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	text := armor.NewWriter(&b)
	w, err := age.Encrypt(text, to)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(key); err != nil {
		return nil, err
	}
	if err := errors.Join(w.Close(), text.Close()); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// OpenKey is the reverse of SealKey; ErrPassphrase when the passphrase is wrong,
// ErrFiles when it is no such file.
func OpenKey(sealed, passphrase []byte) ([]byte, error) {
	id, err := age.NewScryptIdentity(string(passphrase))
	if err != nil {
		return nil, ErrPassphrase
	}
	r, err := age.Decrypt(armor.NewReader(bytes.NewReader(sealed)), id)
	var wrong *age.NoIdentityMatchError
	if errors.As(err, &wrong) {
		return nil, ErrPassphrase
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFiles, err)
	}
	key, err := io.ReadAll(io.LimitReader(r, maxSealed))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFiles, err)
	}
	return key, nil
}
