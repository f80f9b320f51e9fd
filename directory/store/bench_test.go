package store_test

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"strings"
	"testing"

	"sealpost/internal/certificate"
	"sealpost/internal/testkit"
)

// A mould makes any number of certificates that differ in serial number and
// address, as fast as memory can be copied. Their signatures are wrong, which
// nobody here looks at.
type mould struct {
	der             []byte
	address, serial int
	name            func(int) string // of the certificate's mailbox, as long as mouldAddress
}

const mouldAddress = "user-00000000@customers.bank.example"

func newMould(t testing.TB, ca *testkit.CA) mould {
	t.Helper()
	cert := ca.Issue(t, testkit.Leaf{Addresses: []string{mouldAddress}, Name: "An ordinary customer of the bank with a name that makes 1200 bytes",
		Change: func(c *x509.Certificate) {
			c.OCSPServer = []string{"http://ocsp.ca.example/" + strings.Repeat("o", 150)}
			c.CRLDistributionPoints = []string{"http://crl.ca.example/" + strings.Repeat("c", 240)}
		}}).Cert
	serial := cert.SerialNumber.Bytes()
	return mould{cert.Raw, bytes.LastIndex(cert.Raw, []byte(mouldAddress)), bytes.Index(cert.Raw, serial) + len(serial) - 8, mouldName}
}

func mouldName(i int) string { return fmt.Sprintf("user-%08d@customers.bank.example", i) }

func (m mould) cert(t testing.TB, i int) *certificate.Certificate {
	der := bytes.Clone(m.der)
	copy(der[m.address:], m.name(i))
	copy(der[m.serial:], fmt.Sprintf("%08x", i))
	c, err := certificate.Parse(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
