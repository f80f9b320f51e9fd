package config

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"
)

// maxPEM bounds files with certificates and keys.
const maxPEM = 8 << 20

// ReadSecret reads a password or token: the first and only line of a file,
// without its line end. The errors name neither path nor content.
func ReadSecret(p Path) (string, error) {
	data, err := readFile(string(p), 64<<10)
	if err != nil {
		return "", err
	}
	s := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	switch {
	case strings.TrimSpace(s) == "":
		return "", errors.New("is empty")
	case strings.ContainsAny(s, "\r\n\x00"):
		return "", errors.New("holds more than one line")
	}
	return s, nil
}

// ReadRoots reads the certificates of PEM files into one pool. The errors name
// the file. Without files the pool is nil, which means the system's roots
// wherever crypto/tls or crypto/x509 take one.
func ReadRoots(files []Path) (*x509.CertPool, error) {
	if len(files) == 0 {
		return nil, nil
	}
	pool := x509.NewCertPool()
	for _, p := range files {
		certs, err := ReadCertificates(p)
		if err != nil {
			return nil, fmt.Errorf("%s %w", p, err)
		}
		for _, c := range certs {
			pool.AddCert(c)
		}
	}
	return pool, nil
}

// ReadCertificates reads one certificate or more, and nothing unreadable, from a
// PEM file. The errors do not name the file.
func ReadCertificates(p Path) ([]*x509.Certificate, error) {
	data, err := readFile(string(p), maxPEM)
	if err != nil {
		return nil, err
	}
	var certs []*x509.Certificate
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			break
		}
		if block.Type == "PRIVATE KEY" || strings.HasSuffix(block.Type, " PRIVATE KEY") {
			return nil, errors.New("holds a private key, which does not belong among certificates")
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("holds a certificate (number %d) that cannot be read: %w", len(certs)+1, err)
		}
		certs = append(certs, c)
	}
	if len(certs) == 0 {
		return nil, errors.New("holds no PEM certificate")
	}
	return certs, nil
}

// roots wants readable root files.
func (k *checker) roots(list string, files []Path) {
	for i, p := range files {
		certs, err := ReadCertificates(p)
		if err != nil {
			k.wrong(item(list, i), "%s %s", p, err)
			continue
		}
		for _, c := range certs {
			if k.now.After(c.NotAfter) {
				k.warn(item(list, i), "%s holds a certificate (%s) that expired on %s", p, quote(c.Subject.String()), c.NotAfter.Format(time.DateOnly))
			}
		}
	}
}

// keyPair wants a certificate that can be read, and its key, which only we can.
func (k *checker) keyPair(section string, t TLS) {
	k.keyPairAt(join(section, "cert"), join(section, "key"), t)
}

func (k *checker) keyPairAt(certKey, keyKey string, t TLS) {
	certPEM, err := readFile(string(t.Cert), maxPEM)
	if err == nil && !bytes.Contains(certPEM, []byte("-----BEGIN CERTIFICATE-----")) {
		err = errors.New("holds no PEM certificate")
	}
	if err != nil {
		k.wrong(certKey, "%s %s", t.Cert, err)
	}
	if !k.private(keyKey, t.Key) {
		return
	}
	keyPEM, keyErr := readFile(string(t.Key), maxPEM)
	if keyErr != nil {
		k.wrong(keyKey, "%s %s", t.Key, keyErr)
		return
	}
	if err != nil {
		return
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		k.wrong(keyKey, "%s cannot be used with %s: %s", t.Key, t.Cert, strings.TrimPrefix(err.Error(), "tls: "))
		return
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		return
	}
	switch {
	case k.now.After(leaf.NotAfter):
		k.warn(certKey, "%s expired on %s", t.Cert, leaf.NotAfter.Format(time.DateOnly))
	case k.now.Before(leaf.NotBefore):
		k.warn(certKey, "%s is not valid before %s", t.Cert, leaf.NotBefore.Format(time.DateOnly))
	case k.now.Add(14 * 24 * time.Hour).After(leaf.NotAfter):
		k.warn(certKey, "%s expires on %s", t.Cert, leaf.NotAfter.Format(time.DateOnly))
	}
}
