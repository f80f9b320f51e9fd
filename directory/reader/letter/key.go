package letter

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"errors"

	"software.sslmate.com/src/go-pkcs12"

	"sealpost/internal/certificate"
)

// A Key opens what is sealed to its certificate.
type Key struct {
	Certificate *certificate.Certificate
	Private     crypto.PrivateKey // *rsa.PrivateKey, *ecdsa.PrivateKey or *ecdh.PrivateKey
}

// ReadPKCS12 reads a key file as mail programs and the directory write them
// (RFC 7292), with modern and with old encryption; not the streamed form (BER) in
// which NSS does, and with it Thunderbird and Firefox. The error is ErrKeyFile,
// ErrBER, ErrPassphrase, ErrNoKey or ErrOldKey.
func ReadPKCS12(file []byte, passphrase string) (Key, error) {
	private, cert, others, err := pkcs12.DecodeChain(file, passphrase)
	switch {
	case bytes.HasPrefix(file, []byte{0x30, 0x80}):
		return Key{}, ErrBER
	case errors.Is(err, pkcs12.ErrIncorrectPassword), errors.Is(err, pkcs12.ErrDecryption):
		return Key{}, ErrPassphrase
	case err != nil:
		return Key{}, ErrKeyFile
	}
	return NewKey(private, append([]*x509.Certificate{cert}, others...)...)
}

// NewKey finds the certificate of a key. The error is ErrNoKey or ErrOldKey.
func NewKey(private crypto.PrivateKey, certs ...*x509.Certificate) (Key, error) {
	var public interface{ Equal(crypto.PublicKey) bool }
	switch k := private.(type) {
	case *rsa.PrivateKey:
		public = &k.PublicKey
	case *ecdsa.PrivateKey:
		public = &k.PublicKey
	case *ecdh.PrivateKey:
		public = k.PublicKey()
	default:
		return Key{}, ErrOldKey
	}
	for _, c := range certs {
		// crypto/x509 leaves an X25519 key in the certificate unread.
		if c.PublicKey != nil && !public.Equal(c.PublicKey) {
			continue
		}
		if cert, err := certificate.Parse(c.Raw); err == nil {
			return Key{cert, private}, nil
		}
	}
	return Key{}, ErrNoKey
}
