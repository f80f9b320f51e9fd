package escrow

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"slices"
)

// A wrapped key is
//
//	"SPE1" | n | name of the master key (n bytes) | m (2 bytes) | data key, wrapped by the master key (m bytes)
//	| salt (32 bytes) | AES-256-GCM of the private key
//
// with m = 0 where the master key is at hand and no data key is needed. The
// key and the nonce of AES-GCM are derived from the data key (or the master key)
// and the salt by HKDF-SHA256, so that none is ever used twice. All that stands
// before the ciphertext, and what the key is bound to, is authenticated.
type blob struct {
	master  string
	dataKey []byte
	salt    []byte
	sealed  []byte
}

const (
	magic     = "SPE1"
	saltSize  = 32
	maxMaster = 200   // bytes of a name
	maxBlob   = 64000 // bytes
)

// MasterOf gives the name of the master key that something is wrapped under;
// ErrOpen when it is no wrapped key.
func MasterOf(wrapped []byte) (string, error) {
	b, err := readBlob(wrapped)
	return b.master, err
}

func readBlob(wrapped []byte) (b blob, err error) {
	rest := wrapped
	take := func(n int) []byte {
		if n > len(rest) {
			err, n = ErrOpen, len(rest)
		}
		var part []byte
		part, rest = rest[:n:n], rest[n:]
		return part
	}
	if string(take(len(magic))) != magic || len(wrapped) > maxBlob {
		return blob{}, ErrOpen
	}
	if n := take(1); len(n) == 1 && int(n[0]) <= maxMaster {
		b.master = string(take(int(n[0])))
	}
	if m := take(2); len(m) == 2 {
		b.dataKey = take(int(m[0])<<8 | int(m[1]))
	}
	b.salt = take(saltSize)
	b.sealed = rest
	if err != nil || b.master == "" || len(b.sealed) == 0 {
		return blob{}, ErrOpen
	}
	return b, nil
}

// head is what stands before the salt.
func (b *blob) head() []byte {
	head := append([]byte(magic), byte(len(b.master)))
	head = append(head, b.master...)
	head = append(head, byte(len(b.dataKey)>>8), byte(len(b.dataKey)))
	return append(head, b.dataKey...)
}

// seal makes a wrapped key under secret: the data key, or the master key.
func seal(master string, dataKey, secret, key, bound []byte) ([]byte, error) {
	b := blob{master: master, dataKey: dataKey, salt: make([]byte, saltSize)}
	if len(master) == 0 || len(master) > maxMaster || len(dataKey) > maxBlob/2 {
		return nil, errors.New("escrow: the name of the master key, or the data key wrapped by it, is too long")
	}
	rand.Read(b.salt)
	aead, nonce, err := b.cipher(secret)
	if err != nil {
		return nil, err
	}
	head := append(b.head(), b.salt...)
	out := aead.Seal(slices.Clone(head), nonce, key, append(head, bound...))
	if len(out) > maxBlob {
		return nil, errors.New("escrow: the key is too large")
	}
	return out, nil
}

func (b *blob) open(secret, bound []byte) ([]byte, error) {
	aead, nonce, err := b.cipher(secret)
	if err != nil {
		return nil, err
	}
	head := append(b.head(), b.salt...)
	key, err := aead.Open(nil, nonce, b.sealed, append(head, bound...))
	if err != nil {
		return nil, ErrOpen
	}
	return key, nil
}

func (b *blob) cipher(secret []byte) (cipher.AEAD, []byte, error) {
	const keySize = 32
	material, err := hkdf.Key(sha256.New, secret, b.salt, "sealpost escrow AES-256-GCM", keySize+12)
	if err != nil {
		return nil, nil, err
	}
	block, err := aes.NewCipher(material[:keySize])
	clear(material[:keySize])
	if err != nil {
		return nil, nil, err
	}
	aead, err := cipher.NewGCM(block)
	return aead, material[keySize:], err
}
