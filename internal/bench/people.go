package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"sealpost/internal/bench/load"
)

// rsaKeys is how many different keys the recipients have. Sealing to a key
// costs the same whoever else has it, and a thousand would take a minute.
const rsaKeys = 8

// writePeople puts a root and one RSA-2048 certificate for each recipient into
// dir: root.pem and certs/ADDRESS.pem.
func writePeople(dir string) error {
	certs := filepath.Join(dir, "certs")
	if err := os.MkdirAll(certs, 0o755); err != nil {
		return err
	}
	root, rootKey, err := newRoot()
	if err != nil {
		return err
	}
	var keys []*rsa.PrivateKey
	for range rsaKeys {
		k, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			return err
		}
		keys = append(keys, k)
	}
	for i := range load.People {
		leaf := &x509.Certificate{
			SerialNumber: big.NewInt(int64(1000 + i)), Subject: pkix.Name{CommonName: "Reader"},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(0, 0, 7),
			EmailAddresses: []string{load.Recipient(i)}, KeyUsage: x509.KeyUsageKeyEncipherment,
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection},
		}
		der, err := x509.CreateCertificate(rand.Reader, leaf, root, &keys[i%rsaKeys].PublicKey, rootKey)
		if err == nil {
			err = writePEM(filepath.Join(certs, load.Recipient(i)+".pem"), der)
		}
		if err != nil {
			return err
		}
	}
	return writePEM(filepath.Join(dir, "root.pem"), root.Raw)
}

func newRoot() (*x509.Certificate, crypto.Signer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Benchmark Root"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(0, 0, 7),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, nil, err
	}
	root, err := x509.ParseCertificate(der)
	return root, key, err
}

func writePEM(file string, der []byte) (err error) {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return pem.Encode(f, &pem.Block{Type: "CERTIFICATE", Bytes: der})
}
