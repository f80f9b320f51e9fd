package smimea

import (
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/miekg/dns"
)

// A Usage says what a record's certificate is for, and what else must vouch for
// it (RFC 6698 section 2.1.1, names of RFC 7218).
type Usage uint8

// The usages.
const (
	PKIXTA Usage = 0 // an authority that must stand in a chain to a trusted root
	PKIXEE Usage = 1 // the mailbox's own certificate, which must also chain to a trusted root
	DANETA Usage = 2 // an authority that is trusted because the record says so
	DANEEE Usage = 3 // the mailbox's own certificate, trusted because the record says so
)

// String is the usage's number and name.
func (u Usage) String() string {
	names := [...]string{"PKIX-TA", "PKIX-EE", "DANE-TA", "DANE-EE"}
	if int(u) < len(names) {
		return fmt.Sprintf("%d (%s)", uint8(u), names[u])
	}
	return fmt.Sprintf("%d (unknown)", uint8(u))
}

// OfMailbox reports a usage whose certificate is the mailbox's own, and not an
// authority's.
func (u Usage) OfMailbox() bool { return u == PKIXEE || u == DANEEE }

// A Selector says what part of the certificate a record is about.
type Selector uint8

// The selectors (RFC 6698 section 2.1.2).
const (
	FullCertificate Selector = 0
	PublicKey       Selector = 1 // its SubjectPublicKeyInfo
)

// A Matching says how the record holds it.
type Matching uint8

// The matching types (RFC 6698 section 2.1.3).
const (
	Exactly Matching = 0 // all of it
	SHA256  Matching = 1
	SHA512  Matching = 2
)

// A Record is one SMIMEA record (RFC 8162 section 2).
type Record struct {
	Usage    Usage
	Selector Selector
	Matching Matching
	Data     []byte // the certificate, the key, or the hash
}

// String names a record without its data, as "3 0 0".
func (r Record) String() string {
	return fmt.Sprintf("%d %d %d", uint8(r.Usage), uint8(r.Selector), uint8(r.Matching))
}

// HasCertificate reports that the data is a certificate.
func (r Record) HasCertificate() bool {
	return r.Usage <= DANEEE && r.Selector == FullCertificate && r.Matching == Exactly
}

// Unusable says in words why nothing can be sealed to what the record holds, as
// the end of a sentence that begins with the record; "" for the certificate of
// a mailbox. Values that are not known make a record unusable (RFC 6698
// section 4.1).
func (r Record) Unusable() string {
	switch {
	case r.Usage > DANEEE:
		return fmt.Sprintf("has certificate usage %d, whose meaning is not known", uint8(r.Usage))
	case r.Selector > PublicKey:
		return fmt.Sprintf("has selector %d, whose meaning is not known", uint8(r.Selector))
	case r.Matching > SHA512:
		return fmt.Sprintf("has matching type %d, whose meaning is not known", uint8(r.Matching))
	case r.Matching != Exactly:
		return "holds a hash only: it can confirm a certificate that is at hand, but it gives none to seal to"
	case r.Selector == PublicKey:
		return "holds a bare public key: S/MIME names a recipient by the issuer and serial number of a certificate, and there is none"
	case !r.Usage.OfMailbox():
		return fmt.Sprintf("has usage %v: it names an authority, not the mailbox's own certificate", r.Usage)
	}
	return ""
}

const fixed = 3 // octets of a record before its data

var errData = errors.New("an SMIMEA record is cut short")

// readRecord takes a record from the library, which keeps the data as
// hexadecimal text and takes what is missing for zero.
func readRecord(rr *dns.SMIMEA) (Record, error) {
	data, err := hex.DecodeString(rr.Certificate)
	if err != nil || len(data) == 0 || int(rr.Hdr.Rdlength) != fixed+len(data) {
		return Record{}, errData
	}
	return Record{Usage(rr.Usage), Selector(rr.Selector), Matching(rr.MatchingType), data}, nil
}
