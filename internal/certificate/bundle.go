package certificate

import (
	"bytes"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// MaxCount is the number of certificates up to which ParseAll reads.
const MaxCount = 1000

var (
	byteOrderMark = []byte("\xef\xbb\xbf")
	pemBegin      = []byte("-----BEGIN ")
)

// ParseAll reads what people call a certificate file: PEM with any number of
// blocks and text around them, one certificate in DER, or certs-only PKCS #7
// (RFC 8551 section 3.8) in DER, BER or PEM.
//
// It returns every certificate that it could read, and an error that tells
// what it could not: a caller may use the former and report the latter. The
// errors, to be found with errors.Is: ErrNone, ErrMalformed, ErrTooLarge,
// ErrTooMany, ErrTruncated, ErrPrivateKey.
func ParseAll(data []byte) ([]*Certificate, error) {
	data = bytes.TrimPrefix(data, byteOrderMark)
	var all bundle
	switch {
	case bytes.HasPrefix(data, pemBegin) || bytes.Contains(data, append([]byte("\n"), pemBegin...)):
		all.addPEM(data)
	case isPKCS7(data):
		all.addPKCS7(data)
	case len(data) > 0 && data[0] == 0x30:
		all.add(bytes.Clone(data))
	}
	if len(all.certs) == 0 && len(all.errs) == 0 {
		return nil, ErrNone
	}
	return all.certs, errors.Join(all.errs...)
}

// A bundle is what ParseAll has found so far.
type bundle struct {
	certs []*Certificate
	errs  []error
	full  bool
}

// add reads one certificate; it keeps der.
func (b *bundle) add(der []byte) {
	if b.full {
		return
	}
	if len(b.certs)+len(b.errs) >= MaxCount {
		b.full = true
		b.errs = append(b.errs, ErrTooMany)
		return
	}
	c, err := Parse(der)
	if err != nil {
		b.errs = append(b.errs, fmt.Errorf("certificate %d: %w", len(b.certs)+len(b.errs)+1, err))
		return
	}
	b.certs = append(b.certs, c)
}

func (b *bundle) addPEM(data []byte) {
	begun := bytes.Count(data, append([]byte("\n"), pemBegin...))
	if bytes.HasPrefix(data, pemBegin) {
		begun++
	}
	for !b.full {
		var block *pem.Block
		block, data = pem.Decode(data)
		if block == nil {
			break
		}
		begun--
		b.addBlock(block)
	}
	// pem.Decode passes over what it cannot decode without a word.
	if begun > 0 && !b.full {
		b.errs = append(b.errs, ErrTruncated)
	}
}

func (b *bundle) addBlock(block *pem.Block) {
	switch {
	case block.Type == "CERTIFICATE", block.Type == "X509 CERTIFICATE":
		b.add(block.Bytes)
	case block.Type == "TRUSTED CERTIFICATE": // OpenSSL's: its own notes follow the certificate
		s := cryptobyte.String(block.Bytes)
		var der cryptobyte.String
		s.ReadASN1Element(&der, asn1.SEQUENCE)
		b.add(der)
	case block.Type == "PKCS7", block.Type == "CMS":
		b.addPKCS7(block.Bytes)
	case strings.HasSuffix(block.Type, "PRIVATE KEY"):
		b.errs = append(b.errs, ErrPrivateKey)
	}
}

func (b *bundle) addPKCS7(data []byte) {
	before := len(b.certs) + len(b.errs)
	if !signedDataCertificates(data, b.add) {
		b.errs = append(b.errs, fmt.Errorf("%w: damaged PKCS #7", ErrMalformed))
	} else if len(b.certs)+len(b.errs) == before {
		b.errs = append(b.errs, ErrNone)
	}
}
