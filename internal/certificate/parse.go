package certificate

import (
	encasn1 "encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// MaxSize is the size in bytes up to which one certificate is read.
const MaxSize = 64 << 10

// Errors of Parse and ParseAll, to be found with errors.Is.
var (
	ErrMalformed  = errors.New("not a readable X.509 certificate")
	ErrTooLarge   = errors.New("certificate is larger than 64 KiB")
	ErrTooMany    = errors.New("more than 1000 certificates")
	ErrNone       = errors.New("no certificate inside")
	ErrTruncated  = errors.New("a PEM block is cut short or damaged")
	ErrPrivateKey = errors.New("a private key stands among the certificates: keep it elsewhere, and consider who has read it")
)

var (
	tagVersion    = asn1.Tag(0).ContextSpecific().Constructed()
	tagIssuerID   = asn1.Tag(1).ContextSpecific()
	tagSubjectID  = asn1.Tag(2).ContextSpecific()
	tagExtensions = asn1.Tag(3).ContextSpecific().Constructed()
)

// Parse reads one DER certificate (RFC 5280 section 4.1). It insists on the
// outer structure and on what sealing needs, and is lenient about everything
// that certificates in people's hands get wrong, much of which crypto/x509
// refuses. The Certificate keeps der, which must not be changed afterwards.
// Errors are ErrMalformed or ErrTooLarge, wrapped.
func Parse(der []byte) (*Certificate, error) {
	if len(der) > MaxSize {
		return nil, ErrTooLarge
	}
	c := &Certificate{Raw: der}
	input := cryptobyte.String(der)
	var cert, tbs cryptobyte.String
	if !input.ReadASN1(&cert, asn1.SEQUENCE) || !input.Empty() ||
		!cert.ReadASN1(&tbs, asn1.SEQUENCE) ||
		!cert.SkipASN1(asn1.SEQUENCE) || !cert.SkipASN1(asn1.BIT_STRING) || !cert.Empty() {
		return nil, malformed("outer structure")
	}
	if err := c.readTBS(tbs); err != nil {
		return nil, err
	}
	return c, nil
}

func malformed(what string) error { return fmt.Errorf("%w: %s", ErrMalformed, what) }

// readTBS reads a TBSCertificate, field by field in its order.
func (c *Certificate) readTBS(tbs cryptobyte.String) error {
	if !tbs.SkipOptionalASN1(tagVersion) {
		return malformed("version")
	}
	var serial, issuer, validity, subject, spki cryptobyte.String
	if !tbs.ReadASN1Element(&serial, asn1.INTEGER) {
		return malformed("serial number")
	}
	c.RawSerial = serial
	var ok bool
	if c.Serial, ok = readInteger(serial); !ok {
		return malformed("serial number")
	}
	if !tbs.SkipASN1(asn1.SEQUENCE) {
		return malformed("signature algorithm")
	}
	if !tbs.ReadASN1Element(&issuer, asn1.SEQUENCE) {
		return malformed("issuer")
	}
	if !tbs.ReadASN1(&validity, asn1.SEQUENCE) {
		return malformed("validity")
	}
	if !tbs.ReadASN1Element(&subject, asn1.SEQUENCE) {
		return malformed("subject")
	}
	if !tbs.ReadASN1Element(&spki, asn1.SEQUENCE) {
		return malformed("public key")
	}
	if c.NotBefore, ok = readTime(&validity); !ok {
		return malformed("start of validity")
	}
	if c.NotAfter, ok = readTime(&validity); !ok || !validity.Empty() {
		return malformed("end of validity")
	}
	c.RawIssuer, c.RawSubject, c.RawPublicKey = issuer, subject, spki
	c.Issuer, _ = readName(issuer)
	c.Subject, c.SubjectAddresses = readName(subject)
	c.readKey(spki)
	return c.readTail(tbs)
}

// readTail reads what may follow the public key: unique identifiers, which
// nobody uses, and the extensions.
func (c *Certificate) readTail(tbs cryptobyte.String) error {
	if !tbs.SkipOptionalASN1(tagIssuerID) || !tbs.SkipOptionalASN1(tagSubjectID) {
		return malformed("unique identifier")
	}
	var outer, list cryptobyte.String
	var present bool
	if !tbs.ReadOptionalASN1(&outer, &present, tagExtensions) || !tbs.Empty() {
		return malformed("trailing data")
	}
	if !present {
		return nil
	}
	if !outer.ReadASN1(&list, asn1.SEQUENCE) || !outer.Empty() {
		return malformed("extensions")
	}
	return c.readExtensions(list)
}

// readInteger reads the two's complement INTEGER in element, minimal or not.
func readInteger(element cryptobyte.String) (*big.Int, bool) {
	var b cryptobyte.String
	if !element.ReadASN1(&b, asn1.INTEGER) || len(b) == 0 {
		return nil, false
	}
	n := new(big.Int).SetBytes(b)
	if b[0]&0x80 != 0 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(len(b))*8))
	}
	return n, true
}

// readTime reads a Time in any of the spellings that were ever legal: with or
// without seconds, fractions, and an offset.
func readTime(s *cryptobyte.String) (time.Time, bool) {
	var text cryptobyte.String
	var tag asn1.Tag
	if !s.ReadAnyASN1(&text, &tag) || len(text) > 32 {
		return time.Time{}, false
	}
	layouts := []string{"20060102150405Z0700", "200601021504Z0700", "20060102150405"}
	if tag == asn1.UTCTime {
		layouts = []string{"060102150405Z0700", "0601021504Z0700"}
	} else if tag != asn1.GeneralizedTime {
		return time.Time{}, false
	}
	for _, layout := range layouts {
		t, err := time.Parse(layout, string(text))
		if err != nil {
			continue
		}
		if t = t.UTC(); tag == asn1.UTCTime {
			t = windowed(t)
		}
		return t, true
	}
	return time.Time{}, false
}

// windowed moves the year of a UTCTime into 1950 to 2049 (RFC 5280 section
// 4.1.2.5.1); time.Parse has its window from 1969 to 2068.
func windowed(t time.Time) time.Time {
	if t.Year() >= 2050 {
		return t.AddDate(-100, 0, 0)
	}
	return t
}

// readOID reads an OBJECT IDENTIFIER; one that does not fit encoding/asn1
// (arcs beyond 31 bits are legal) is skipped and comes out empty.
func readOID(s *cryptobyte.String) (encasn1.ObjectIdentifier, bool) {
	var element cryptobyte.String
	if !s.ReadASN1Element(&element, asn1.OBJECT_IDENTIFIER) {
		return nil, false
	}
	var oid encasn1.ObjectIdentifier
	if !element.ReadASN1ObjectIdentifier(&oid) {
		return encasn1.ObjectIdentifier{}, true
	}
	return oid, true
}
