package spool

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"filippo.io/age"
)

// A Key is the spool's own key, an age X25519 identity. It prints as its
// fingerprint, never as the secret.
type Key struct{ identity *age.X25519Identity }

// Fingerprint names the key to people: the start of the SHA-256 of the public
// half.
func (k *Key) Fingerprint() string {
	sum := sha256.Sum256([]byte(k.identity.Recipient().String()))
	return "SHA256:" + hex.EncodeToString(sum[:12])
}

// String is the fingerprint.
func (k *Key) String() string { return k.Fingerprint() }

// GoString is the fingerprint too, so that %#v prints no secret.
func (k *Key) GoString() string { return "spool.Key(" + k.Fingerprint() + ")" }

// NewKey makes a key that is in no file.
func NewKey() (*Key, error) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, err
	}
	return &Key{id}, nil
}

// LoadKey reads a key file: the format of age-keygen, one X25519 identity. A
// file that anyone but its owner can read or write is refused (ErrPermission).
func LoadKey(path string) (*Key, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	if err := private(path, st); err != nil {
		return nil, err
	}
	ids, err := age.ParseIdentities(io.LimitReader(f, 64<<10))
	if err != nil {
		// The parser's text can quote the line, which may be the secret.
		return nil, fmt.Errorf("%w: %s holds no age identity", ErrKey, path)
	}
	if len(ids) == 1 {
		if id, ok := ids[0].(*age.X25519Identity); ok {
			return &Key{id}, nil
		}
	}
	return nil, fmt.Errorf("%w: %s must hold exactly one X25519 identity (AGE-SECRET-KEY-1…)", ErrKey, path)
}

// GenerateKey makes a key and writes it, durably, to a new file that only the
// owner can read. An existing file is never touched.
func GenerateKey(path string) (*Key, error) {
	k, err := NewKey()
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	_, err = fmt.Fprintf(f, "# Sealpost spool key %s\n# public key: %s\n%s\n",
		k.Fingerprint(), k.identity.Recipient(), k.identity)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return nil, errors.Join(err, os.Remove(path))
	}
	return k, disk{filepath.Dir(path)}.SyncDir(".")
}
