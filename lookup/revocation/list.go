package revocation

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// skew is how wrong the clocks of others, and ours, may be.
const skew = 5 * time.Minute

// Why a list or an answer is of no use.
var (
	errMalformed = errors.New("it is malformed")
	errIssuer    = errors.New("it is not the certificate issuer's own")
	errSigner    = errors.New("its signature is not that of the certificate's issuer")
	errForgeable = errors.New("it is signed with an algorithm that can be forged")
	errUsage     = errors.New("its signer's key usage does not allow it to sign lists")
	errDelta     = errors.New("it is a delta list, which is not applied")
	errCritical  = errors.New("it has a critical extension that is not understood")
	errFuture    = errors.New("it is from the future: look at this machine's clock")
	errExpired   = errors.New("it is out of date")
	errNoEnd     = errors.New("it does not say when the next one is due")
	errOlder     = errors.New("it is older than the one at hand")
)

// A list is a verified revocation list.
type list struct {
	issuer   []byte   // DER of the name
	number   *big.Int // nil when it has none
	from, to time.Time
	scope    scope
	revoked  serials
}

func (l *list) size() int64 { return l.revoked.size() + 1024 }

// current reports whether a list still counts.
func (l *list) current(now time.Time) bool { return l != nil && now.Before(l.to.Add(skew)) }

// replaces says why l must not take the place of old: somebody may be playing
// back an old list to hide a revocation.
func (l *list) replaces(old *list) error {
	switch {
	case old == nil:
		return nil
	case l.number != nil && old.number != nil && l.number.Cmp(old.number) < 0:
		return fmt.Errorf("%w: number %v after number %v", errOlder, l.number, old.number)
	case l.from.Before(old.from):
		return fmt.Errorf("%w: of %s after one of %s", errOlder, l.from.UTC().Format(time.DateTime), old.from.UTC().Format(time.DateTime))
	}
	return nil
}

// parts of a CertificateList (RFC 5280 section 5.1), as they stand.
type parts struct {
	signed   []byte            // tbsCertList
	entries  cryptobyte.String // content of revokedCertificates
	skeleton []byte            // the whole without its entries
}

// split takes a list apart without looking at its entries. Version 1, which
// has no extensions, comes out as version 2: crypto/x509 reads no other, and
// the signature is checked over the original bytes.
func split(der cryptobyte.String) (parts, bool) {
	var p parts
	var outer, element, tbs, algorithm, issuer, this, next, entries, extensions, signature, rest cryptobyte.String
	var tag cbasn1.Tag
	var hasEntries, hasExtensions, hasNext bool
	ok := der.ReadASN1(&outer, cbasn1.SEQUENCE) && outer.ReadASN1Element(&element, cbasn1.SEQUENCE)
	if !ok {
		return p, false
	}
	rest, p.signed = outer, element
	ok = element.ReadASN1(&tbs, cbasn1.SEQUENCE)
	second := tbs.PeekASN1Tag(cbasn1.INTEGER)
	ok = ok && (!second || tbs.SkipASN1(cbasn1.INTEGER)) &&
		tbs.ReadASN1Element(&algorithm, cbasn1.SEQUENCE) && tbs.ReadASN1Element(&issuer, cbasn1.SEQUENCE) &&
		tbs.ReadAnyASN1Element(&this, &tag)
	if hasNext = tbs.PeekASN1Tag(cbasn1.UTCTime) || tbs.PeekASN1Tag(cbasn1.GeneralizedTime); ok && hasNext {
		ok = tbs.ReadAnyASN1Element(&next, &tag)
	}
	ok = ok && tbs.ReadOptionalASN1(&entries, &hasEntries, cbasn1.SEQUENCE)
	if hasExtensions = tbs.PeekASN1Tag(tagName); ok && hasExtensions {
		ok = second && tbs.ReadASN1Element(&extensions, tagName)
	}
	signature = rest
	if !ok || !tbs.Empty() || !rest.SkipASN1(cbasn1.SEQUENCE) || !rest.SkipASN1(cbasn1.BIT_STRING) || !rest.Empty() {
		return p, false
	}
	p.entries = entries
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1Int64(1)
			for _, part := range []cryptobyte.String{algorithm, issuer, this, next, extensions} {
				b.AddBytes(part)
			}
		})
		b.AddBytes(signature)
	})
	var err error
	p.skeleton, err = b.Bytes()
	return p, err == nil
}

// readList reads and verifies the list of an issuer. crypto/x509 reads all but
// the entries, for which it would take ten times the memory they need.
func readList(data []byte, issuer *x509.Certificate, now time.Time) (*list, error) {
	if bytes.HasPrefix(data, []byte("-----BEGIN ")) {
		block, _ := pem.Decode(data)
		if block == nil {
			return nil, errMalformed
		}
		data = block.Bytes
	}
	p, ok := split(data)
	if !ok {
		return nil, errMalformed
	}
	rl, err := x509.ParseRevocationList(p.skeleton)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errMalformed, err)
	}
	if err := checkSigner(rl, p.signed, issuer); err != nil {
		return nil, err
	}
	l := &list{issuer: rl.RawIssuer, number: rl.Number, from: rl.ThisUpdate, to: rl.NextUpdate, scope: scope{reasons: allReasons}}
	if err := checkTimes(l.from, l.to, now); err != nil {
		return nil, err
	}
	if err := l.readExtensions(rl); err != nil {
		return nil, err
	}
	if err := l.readEntries(p.entries); err != nil {
		return nil, err
	}
	return l, nil
}

// checkSigner wants the list to be the issuer's own (RFC 5280 section 6.3.3
// (b) and (f)): separate signers of lists are not looked for.
func checkSigner(rl *x509.RevocationList, signed []byte, issuer *x509.Certificate) error {
	switch {
	case !bytes.Equal(rl.RawIssuer, issuer.RawSubject):
		return errIssuer
	case issuer.KeyUsage != 0 && issuer.KeyUsage&x509.KeyUsageCRLSign == 0:
		return errUsage
	case forgeable(rl.SignatureAlgorithm):
		return fmt.Errorf("%w (%v)", errForgeable, rl.SignatureAlgorithm)
	}
	if err := issuer.CheckSignature(rl.SignatureAlgorithm, signed, rl.Signature); err != nil {
		return fmt.Errorf("%w: %w", errSigner, err)
	}
	return nil
}

func forgeable(a x509.SignatureAlgorithm) bool {
	switch a {
	case x509.MD2WithRSA, x509.MD5WithRSA, x509.SHA1WithRSA, x509.DSAWithSHA1, x509.ECDSAWithSHA1:
		return true
	}
	return false
}

func checkTimes(from, to, now time.Time) error {
	switch {
	case from.After(now.Add(skew)):
		return errFuture
	case to.IsZero():
		return errNoEnd
	case !now.Before(to.Add(skew)):
		return fmt.Errorf("%w since %s", errExpired, to.UTC().Format(time.DateTime+" MST"))
	}
	return nil
}

const (
	oidCRLNumber        = "2.5.29.20"
	oidReasonCode       = "2.5.29.21"
	oidInvalidityDate   = "2.5.29.24"
	oidDelta            = "2.5.29.27"
	oidIssuingPoint     = "2.5.29.28"
	oidEntryIssuer      = "2.5.29.29"
	oidAuthorityKey     = "2.5.29.35"
	removeFromCRL       = 8
	longestReasonNumber = 10
)

func (l *list) readExtensions(rl *x509.RevocationList) (err error) {
	for _, e := range rl.Extensions {
		switch oid := e.Id.String(); {
		case oid == oidDelta:
			return errDelta
		case oid == oidIssuingPoint:
			if l.scope, err = readScope(e.Value); err != nil {
				return err
			}
		case oid == oidCRLNumber, oid == oidAuthorityKey:
		case e.Critical:
			return fmt.Errorf("%w (%s)", errCritical, oid)
		}
	}
	return nil
}

// readEntries takes the serial numbers of the issuer's own certificates. An
// entry that cannot be understood makes the whole list useless (RFC 5280
// section 5.3): nobody could say what else it means.
func (l *list) readEntries(entries cryptobyte.String) error {
	own := true // in an indirect list, as the last certificateIssuer said
	for !entries.Empty() {
		var entry, serial, extensions cryptobyte.String
		if !entries.ReadASN1(&entry, cbasn1.SEQUENCE) || !entry.ReadASN1(&serial, cbasn1.INTEGER) || len(serial) == 0 || len(serial) > maxSerial {
			return errMalformed
		}
		at, ok := readTime(&entry)
		if !ok {
			return errMalformed
		}
		code := uint8(0)
		if !entry.Empty() {
			if !entry.ReadASN1(&extensions, cbasn1.SEQUENCE) || !entry.Empty() {
				return errMalformed
			}
			var err error
			if code, err = l.readEntryExtensions(extensions, &own); err != nil {
				return err
			}
		}
		if own && code != removeFromCRL {
			l.revoked.add(serial, at, code)
		}
	}
	l.revoked.sort()
	return nil
}

func (l *list) readEntryExtensions(extensions cryptobyte.String, own *bool) (code uint8, err error) {
	for !extensions.Empty() {
		var ext, value cryptobyte.String
		var oid asn1.ObjectIdentifier
		var critical bool
		if !extensions.ReadASN1(&ext, cbasn1.SEQUENCE) || !ext.ReadASN1ObjectIdentifier(&oid) ||
			!readFlag(&ext, cbasn1.BOOLEAN, &critical) || !ext.ReadASN1(&value, cbasn1.OCTET_STRING) {
			return 0, errMalformed
		}
		switch name := oid.String(); {
		case name == oidReasonCode:
			var n int
			if !value.ReadASN1Enum(&n) || n < 0 || n > longestReasonNumber {
				return 0, errMalformed
			}
			code = uint8(n)
		case name == oidEntryIssuer && l.scope.indirect:
			var names cryptobyte.String
			if !value.ReadASN1(&names, cbasn1.SEQUENCE) {
				return 0, errMalformed
			}
			*own = namesDirectory(names, l.issuer)
		case name == oidInvalidityDate:
		case critical:
			return 0, fmt.Errorf("%w (%s, in an entry)", errCritical, name)
		}
	}
	return code, nil
}

func readTime(s *cryptobyte.String) (time.Time, bool) {
	var t time.Time
	if s.PeekASN1Tag(cbasn1.UTCTime) {
		return t, s.ReadASN1UTCTime(&t)
	}
	return t, s.ReadASN1GeneralizedTime(&t)
}

// status is what the list says of a certificate that is in its scope.
func (l *list) status(c *x509.Certificate) Verdict {
	at, code, found := l.revoked.find(c.SerialNumber)
	if !found {
		return Verdict{Status: Good, Until: l.to}
	}
	return revokedVerdict(at, code, l.to)
}

func revokedVerdict(at time.Time, code int, until time.Time) Verdict {
	return Verdict{
		Status: Revoked, At: at, Until: until,
		Why: fmt.Sprintf("was withdrawn by its issuer on %s: %s", at.UTC().Format(time.DateOnly), reasonInWords(code)),
	}
}
