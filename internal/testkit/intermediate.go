package testkit

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"testing"
	"time"
)

// Intermediate makes a CA below this one; change, if not nil, has the last
// word on its certificate.
func (ca *CA) Intermediate(t testing.TB, change func(template *x509.Certificate)) *CA {
	t.Helper()
	return ca.intermediateFor(t, Key(t, "p256").(*ecdsa.PrivateKey), change)
}

func (ca *CA) intermediateFor(t testing.TB, key crypto.Signer, change func(template *x509.Certificate)) *CA {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: serial(t), Subject: pkix.Name{CommonName: "Sealpost Test Intermediate"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	if change != nil {
		change(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.Cert, key.Public(), ca.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &CA{Cert: cert, PEM: pemBlock("CERTIFICATE", der), key: key}
}

// WithCert is the same key with another certificate.
func (ca *CA) WithCert(cert *x509.Certificate) *CA {
	return &CA{Cert: cert, PEM: pemBlock("CERTIFICATE", cert.Raw), key: ca.key}
}

// CrossSigned is the same key and name with a certificate of another CA.
func (ca *CA) CrossSigned(t testing.TB, by *CA, change func(template *x509.Certificate)) *CA {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: serial(t), Subject: ca.Cert.Subject, SubjectKeyId: ca.Cert.SubjectKeyId,
		NotBefore: ca.Cert.NotBefore, NotAfter: ca.Cert.NotAfter,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	if change != nil {
		change(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by.Cert, ca.Cert.PublicKey, by.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return ca.WithCert(cert)
}
