package cms

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/asn1"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	asn1tag "golang.org/x/crypto/cryptobyte/asn1"

	"sealpost/internal/certificate"
)

// A signScheme is a way to sign.
type signScheme int

const (
	schemeUnknown signScheme = iota
	schemeWeak
	schemePKCS1
	schemePSS
	schemeECDSA
	schemeEd25519
)

// schemeOf finds a signature algorithm, and the digest that its name includes.
func schemeOf(oid asn1.ObjectIdentifier) (signScheme, crypto.Hash) {
	for _, known := range []struct {
		oid    asn1.ObjectIdentifier
		scheme signScheme
		hash   crypto.Hash // 0: that of digestAlgorithm
	}{
		{oidRSAEncryption, schemePKCS1, 0},
		{oidSHA256RSA, schemePKCS1, crypto.SHA256},
		{oidSHA384RSA, schemePKCS1, crypto.SHA384},
		{oidSHA512RSA, schemePKCS1, crypto.SHA512},
		{oidRSASSAPSS, schemePSS, 0},
		{oidECPublicKey, schemeECDSA, 0},
		{oidECDSASHA256, schemeECDSA, crypto.SHA256},
		{oidECDSASHA384, schemeECDSA, crypto.SHA384},
		{oidECDSASHA512, schemeECDSA, crypto.SHA512},
		{oidEd25519, schemeEd25519, crypto.SHA512},
		{oidMD5WithRSA, schemeWeak, 0},
		{oidSHA1WithRSA, schemeWeak, 0},
		{oidRSAWithSHA1X, schemeWeak, 0},
		{oidECDSASHA1, schemeWeak, 0},
	} {
		if known.oid.Equal(oid) {
			return known.scheme, known.hash
		}
	}
	return schemeUnknown, 0
}

// verify tells whether the certificate's key made the signature over digest.
func (s *Signer) verify(c *certificate.Certificate, hash crypto.Hash, digest []byte) error {
	scheme, included := schemeOf(s.algorithm.oid)
	switch {
	case scheme == schemeWeak:
		return ErrWeakDigest
	case scheme == schemeUnknown:
		return fmt.Errorf("%w: %v", ErrUnsupported, s.algorithm.oid)
	case included != 0 && included != hash:
		return fmt.Errorf("%w: signature and content have different digests", ErrUnsupported)
	case scheme != schemePSS && !absentOrNull(s.algorithm.params):
		return fmt.Errorf("%w: parameters of %v", ErrUnsupported, s.algorithm.oid)
	}
	ok := false
	switch key := c.SigningKey().(type) {
	case *rsa.PublicKey:
		var err error
		if ok, err = s.verifyRSA(c, scheme, key, hash, digest); err != nil {
			return err
		}
	case *ecdsa.PublicKey:
		if scheme != schemeECDSA {
			return fmt.Errorf("%w: %w", ErrSignature, errKey)
		}
		ok = ecdsa.VerifyASN1(key, digest, s.signature)
	case ed25519.PublicKey:
		if scheme != schemeEd25519 {
			return fmt.Errorf("%w: %w", ErrSignature, errKey)
		}
		if s.signed == nil { // would need the whole content at once
			return fmt.Errorf("%w: Ed25519 without signed attributes", ErrUnsupported)
		}
		ok = ed25519.Verify(key, s.signed, s.signature)
	default:
		return fmt.Errorf("%w: key of kind %s", ErrUnsupported, c.KeyName)
	}
	if !ok {
		return ErrSignature
	}
	return nil
}

func (s *Signer) verifyRSA(c *certificate.Certificate, scheme signScheme, key *rsa.PublicKey, hash crypto.Hash, digest []byte) (bool, error) {
	switch {
	case c.KeyBits < 1024:
		return false, fmt.Errorf("%w: RSA key of %d bits", ErrUnsupported, c.KeyBits)
	case scheme == schemePKCS1 && c.KeyKind == certificate.KeyRSA:
		return rsa.VerifyPKCS1v15(key, hash, digest, s.signature) == nil, nil
	case scheme == schemePSS:
		salt, err := readPSS(s.algorithm.params, hash)
		if err != nil {
			return false, err
		}
		if least, err := leastSalt(c, hash); err != nil || salt < least {
			return false, fmt.Errorf("%w: not what the RSASSA-PSS key is for", ErrUnsupported)
		}
		return rsa.VerifyPSS(key, hash, digest, s.signature, &rsa.PSSOptions{SaltLength: salt, Hash: hash}) == nil, nil
	}
	return false, fmt.Errorf("%w: %w", ErrSignature, errKey)
}

// readPSS reads RSASSA-PSS-params (RFC 4055 section 3.1) and gives the length of
// the salt. One digest everywhere is asked for, as RFC 4056 section 3 has it.
func readPSS(params []byte, hash crypto.Hash) (salt int, err error) {
	s := cryptobyte.String(params)
	var seq, field cryptobyte.String
	var present bool
	bad := fmt.Errorf("%w: RSASSA-PSS parameters", ErrUnsupported)
	if !s.ReadASN1(&seq, asn1tag.SEQUENCE) || !s.Empty() {
		return 0, bad
	}
	var digest, mask algorithmIdentifier
	if !seq.ReadOptionalASN1(&field, &present, tagContext0) {
		return 0, bad
	}
	if !present {
		return 0, ErrWeakDigest // the default is SHA-1
	}
	if !readAlgorithm(&field, &digest) || !field.Empty() {
		return 0, bad
	}
	if have, kind := digestOf(digest.oid); kind == digestWeak {
		return 0, ErrWeakDigest
	} else if have != hash {
		return 0, bad
	}
	if !seq.ReadASN1(&field, tagContext1) || !readAlgorithm(&field, &mask) || !field.Empty() || !mask.oid.Equal(oidMGF1) {
		return 0, bad
	}
	var maskDigest algorithmIdentifier
	inner := cryptobyte.String(mask.params)
	if !readAlgorithm(&inner, &maskDigest) || !maskDigest.oid.Equal(digest.oid) {
		return 0, bad
	}
	salt = 20
	if seq.PeekASN1Tag(tagContext2) && (!seq.ReadASN1(&field, tagContext2) || !field.ReadASN1Integer(&salt) || !field.Empty()) {
		return 0, bad
	}
	trailer := 1
	if seq.PeekASN1Tag(tagContext3) && (!seq.ReadASN1(&field, tagContext3) || !field.ReadASN1Integer(&trailer) || !field.Empty()) {
		return 0, bad
	}
	if !seq.Empty() || salt < 1 || salt > 512 || trailer != 1 { // 0 would mean "any" to crypto/rsa
		return 0, bad
	}
	return salt, nil
}

const (
	tagContext2 = asn1tag.Tag(0xa2)
	tagContext3 = asn1tag.Tag(0xa3)
)

// leastSalt reads what an RSASSA-PSS key says of its own use (RFC 4055 section
// 3.1): without parameters it may be used in any way.
func leastSalt(c *certificate.Certificate, hash crypto.Hash) (int, error) {
	s := cryptobyte.String(c.RawPublicKey)
	var spki cryptobyte.String
	var id algorithmIdentifier
	if c.KeyKind != certificate.KeyRSAPSS {
		return 0, nil
	}
	if !s.ReadASN1(&spki, asn1tag.SEQUENCE) || !readAlgorithm(&spki, &id) {
		return 0, ErrUnsupported
	}
	if len(id.params) == 0 {
		return 0, nil
	}
	return readPSS(id.params, hash)
}
