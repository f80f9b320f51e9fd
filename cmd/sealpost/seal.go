package main

import (
	"bufio"
	"crypto"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"slices"

	"sealpost/internal/certificate"
	"sealpost/smime"
	"sealpost/smime/cms"
)

type sealCommand struct {
	To     []string `required:"" short:"t" help:"Recipients' certificates (PEM or DER)." placeholder:"CERT.pem"`
	Cipher string   `default:"aes-256-cbc" enum:"aes-128-cbc,aes-256-cbc,aes-128-gcm,aes-256-gcm" help:"Content encryption: ${enum}."`
	OAEP   bool     `help:"RSA-OAEP instead of PKCS#1 v1.5."`
	KDF    string   `default:"sha1" enum:"sha1,sha256,sha384,sha512" help:"Key derivation for EC keys: ${enum}."`
}

// Run reads a message from standard input and writes the sealed one. Line ends
// may be LF or CRLF; what comes out has CRLF.
func (c sealCommand) Run(s streams) error {
	cipher, err := cms.ParseCipher(c.Cipher)
	if err != nil {
		return usageError{err}
	}
	kdf, err := cms.ParseKDF(c.KDF)
	if err != nil {
		return usageError{err}
	}
	var to []cms.Recipient
	for _, file := range c.To {
		certs, err := readCertificates(file)
		if err != nil {
			return err
		}
		for _, cert := range certs {
			r, err := cms.NewRecipient(cert, cms.KeyOptions{OAEP: c.OAEP, KDF: kdf})
			if err != nil {
				return fmt.Errorf("%s: %w", file, err)
			}
			to = append(to, r)
		}
	}
	m, err := smime.ReadMessage(smime.Canonical(s.In), smime.Limits{})
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(s.Out, 64<<10)
	if err := smime.SealStream(out, m, smime.SealOptions{}, cipher, to...); err != nil {
		return err
	}
	return out.Flush()
}

type openCommand struct {
	Key     string `required:"" short:"k" help:"Private key, PEM, not encrypted." placeholder:"KEY.pem"`
	Cert    string `required:"" short:"c" help:"Its certificate." placeholder:"CERT.pem"`
	MaxSize int64  `default:"134217728" help:"Largest encrypted content, in bytes."`
}

// Run reads a sealed message from standard input and writes the entity inside.
func (c openCommand) Run(s streams) error {
	key, err := readKey(c.Key)
	if err != nil {
		return err
	}
	certs, err := readCertificates(c.Cert)
	if err != nil {
		return err
	}
	mine := slices.IndexFunc(certs, func(cert *certificate.Certificate) bool { return belongs(key, cert) })
	if mine < 0 {
		return fmt.Errorf("%s is not the key of the certificate in %s", c.Key, c.Cert)
	}
	entity, err := smime.Open(s.In, smime.OpenOptions{Key: key, Certificate: certs[mine], MaxSize: c.MaxSize})
	if err != nil {
		return err
	}
	_, err = s.Out.Write(entity)
	return err
}

// belongs reports whether the key is that of the certificate.
func belongs(key crypto.PrivateKey, cert *certificate.Certificate) bool {
	pair, ok := key.(interface{ Public() crypto.PublicKey })
	if !ok || cert.PublicKey == nil {
		return false
	}
	public := pair.Public()
	if ec, ok := public.(*ecdsa.PublicKey); ok { // PKCS#8 does not say what a curve's key is for
		dh, err := ec.ECDH()
		if err != nil {
			return false
		}
		public = dh
	}
	same, ok := public.(interface{ Equal(crypto.PublicKey) bool })
	return ok && same.Equal(cert.PublicKey)
}

func readCertificates(file string) ([]*certificate.Certificate, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	certs, err := certificate.ParseAll(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if len(certs) == 0 {
		return nil, fmt.Errorf("%s: holds no certificate", file)
	}
	return certs, nil
}

// readKey takes PKCS#8, PKCS#1 and SEC 1 in PEM.
func readKey(file string) (crypto.PrivateKey, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		var key crypto.PrivateKey
		switch block.Type {
		case "PRIVATE KEY":
			key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
		case "RSA PRIVATE KEY":
			key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
		case "EC PRIVATE KEY":
			key, err = x509.ParseECPrivateKey(block.Bytes)
		case "ENCRYPTED PRIVATE KEY":
			err = errors.New("the key is encrypted; take the passphrase off first: openssl pkey -in KEY -out PLAIN")
		default:
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		return key, nil
	}
	return nil, fmt.Errorf("%s: holds no private key in PEM", file)
}
