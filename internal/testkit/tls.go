package testkit

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"testing"
)

// Server issues a server certificate for the names and for 127.0.0.1 and ::1.
func (ca *CA) Server(t testing.TB, names ...string) *Identity {
	t.Helper()
	return ca.Issue(t, Leaf{
		Name: "server", Key: "p256", DNSNames: append([]string{"localhost"}, names...),
		Usage: x509.KeyUsageDigitalSignature, ExtUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		Change: func(c *x509.Certificate) {
			c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
		},
	})
}

// ServerTLS is the TLS side of a server with such a certificate.
func (ca *CA) ServerTLS(t testing.TB, names ...string) *tls.Config {
	t.Helper()
	id := ca.Server(t, names...)
	cert := tls.Certificate{Certificate: [][]byte{id.Cert.Raw}, PrivateKey: id.Key, Leaf: id.Cert}
	return &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
}

// ClientTLS is the TLS side of a client that trusts this CA alone and expects
// the name.
func (ca *CA) ClientTLS(name string) *tls.Config {
	roots := x509.NewCertPool()
	roots.AddCert(ca.Cert)
	return &tls.Config{RootCAs: roots, ServerName: name, MinVersion: tls.VersionTLS12}
}
