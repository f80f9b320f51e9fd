package keyload

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"strings"
	"time"
)

// digits is the width of the number in an address.
const digits = 8

// A Corpus is n certificates of about 1.2 KB for n addresses. They are one
// certificate with other addresses and serial numbers: their signatures are
// not right, which neither directory looks at.
type Corpus struct {
	N       int
	der     []byte
	address []int // where the digits of the address stand in der
	serial  int   // where the serial number stands
}

// New makes the template.
func New(n int) (*Corpus, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	serial := []byte("\x4aSerial00") // of nine bytes, positive
	leaf := &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(serial),
		Subject:      pkix.Name{CommonName: "Bench Person", Organization: []string{"An organisation with a name of an ordinary length"}},
		NotBefore:    time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(2, 0, 0),
		EmailAddresses: []string{Address(0)}, KeyUsage: x509.KeyUsageKeyEncipherment | x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection},
		CRLDistributionPoints: []string{"http://crl.bench.example/" + strings.Repeat("p", 60) + ".crl"},
		OCSPServer:            []string{"http://ocsp.bench.example/"}, IssuingCertificateURL: []string{"http://ca.bench.example/ca.cer"},
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, leaf, key.Public(), key)
	if err != nil {
		return nil, err
	}
	c := &Corpus{N: n, der: der, serial: bytes.Index(der, serial)}
	for from := 0; ; {
		i := bytes.Index(der[from:], []byte(Address(0)))
		if i < 0 {
			break
		}
		c.address = append(c.address, from+i+1)
		from += i + 1
	}
	if c.serial < 0 || len(c.address) == 0 {
		return nil, errors.New("keyload: the template has neither address nor serial number where they were put")
	}
	return c, nil
}

// Address is number i; those past a corpus's N are not in it.
func Address(i int) string { return fmt.Sprintf("u%0*d@bench.example", digits, i) }

// DER is certificate number i; it is good until the next call.
func (c *Corpus) DER(i int) []byte {
	number := fmt.Sprintf("%0*d", digits, i)
	for _, at := range c.address {
		copy(c.der[at:], number)
	}
	copy(c.der[c.serial+1:], number)
	return c.der
}

// Payload is what all certificates have together, in bytes.
func (c *Corpus) Payload() int64 { return int64(len(c.der)) * int64(c.N) }

// WritePEM writes them as `sealpost directory import` reads them.
func (c *Corpus) WritePEM(path string) error {
	return writeFile(path, func(w io.Writer) error {
		for i := range c.N {
			if err := pem.Encode(w, &pem.Block{Type: "CERTIFICATE", Bytes: c.DER(i)}); err != nil {
				return err
			}
		}
		return nil
	})
}

// Suffix is the base of the LDAP entries.
const Suffix = "dc=bench"

// WriteLDIF writes them as slapadd reads them.
func (c *Corpus) WriteLDIF(path string) error {
	return writeFile(path, func(w io.Writer) error {
		if _, err := io.WriteString(w, "dn: "+Suffix+"\nobjectClass: dcObject\nobjectClass: organization\ndc: bench\no: bench\n\n"); err != nil {
			return err
		}
		for i := range c.N {
			text := base64.StdEncoding.EncodeToString(c.DER(i))
			if _, err := fmt.Fprintf(w, "dn: cn=%d,%s\nobjectClass: inetOrgPerson\ncn: %[1]d\nsn: %[1]d\nmail: %[3]s\nuserCertificate;binary:: %[4]s\n\n",
				i, Suffix, Address(i), text); err != nil {
				return err
			}
		}
		return nil
	})
}

func writeFile(path string, write func(io.Writer) error) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	return errors.Join(write(w), w.Flush(), f.Close())
}
