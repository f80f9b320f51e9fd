package claim

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"sealpost/directory/store"
	"sealpost/internal/address"
	"sealpost/internal/certificate"
	"sealpost/internal/reason"
	"sealpost/lookup"
)

// MaxUpload is how large a file with an own certificate may be, in bytes.
const MaxUpload = 256 << 10

// Replace has a certificate that the owner of the mailbox brought with him take
// the place of ours, which is superseded: PEM, DER or PKCS #7. It must name the
// address of the session and be one that mail can be sealed to. What is in
// upload is overwritten.
//
// Errors: ErrSession; ErrPrivateKey, and nothing was kept; a *CertificateError.
func (e *Engine) Replace(ctx context.Context, secret string, upload []byte) error {
	defer clear(upload)
	s, err := e.complete(ctx, secret)
	if err != nil {
		return err
	}
	addr, err := address.Parse(s.Address)
	if err != nil {
		return err
	}
	cert, err := e.ownCertificate(ctx, addr, upload)
	if errors.Is(err, ErrPrivateKey) {
		e.opts.Log.Warn("a private key was uploaded in the place of a certificate; nothing of it was kept", "address", s.Address, "session", s.ID)
	}
	if err != nil {
		return err
	}
	if cert.Fingerprint() == s.Fingerprint {
		return &CertificateError{reason.CertificateUnreadable, "is the one that we made; choose the file with your own"}
	}
	n := store.New{Cert: cert, Addresses: []address.Address{addr}, Origin: store.OriginAPI,
		Evidence: store.Evidence{Signer: s.Address, Verdict: "given by the owner of the mailbox", At: e.opts.Clock()}}
	_, err = e.opts.Store.ReplaceKey(ctx, n, s.Fingerprint, actor(s))
	switch {
	case errors.Is(err, store.ErrRevoked):
		return &CertificateError{reason.CertificateRevoked, "was revoked in this directory"}
	case errors.Is(err, store.ErrExpired):
		return &CertificateError{reason.CertificateExpired, "has expired"}
	case err != nil:
		return err
	}
	e.stats.replaced.Add(1)
	e.opts.Log.Info("the owner of a mailbox gave a certificate of his own", "address", s.Address, "session", s.ID)
	e.opts.Settle(ctx)
	return nil
}

// ownCertificate finds the one certificate of an upload that is for the address.
func (e *Engine) ownCertificate(ctx context.Context, addr address.Address, upload []byte) (*certificate.Certificate, error) {
	if len(upload) > MaxUpload {
		return nil, &CertificateError{reason.CertificateUnreadable, "is in a file that is too large to be one"}
	}
	if HasPrivateKey(upload) {
		return nil, ErrPrivateKey
	}
	certs, err := certificate.ParseAll(upload)
	switch {
	case errors.Is(err, certificate.ErrPrivateKey):
		return nil, ErrPrivateKey
	case err != nil:
		return nil, &CertificateError{reason.CertificateUnreadable, "cannot be read: the file is neither PEM, DER nor PKCS #7"}
	}
	// The best refusal is the one of the certificate that is for the address.
	refusal := &CertificateError{reason.CertificateCA, "is one of an authority, not of a person"}
	for _, c := range certs {
		if c.IsCA {
			continue
		}
		err := e.judge(ctx, c, addr)
		if err == nil {
			return c, nil
		}
		if refusal.Reason == reason.CertificateCA || refusal.Reason == reason.CertificateAddress {
			refusal = err
		}
	}
	return nil, refusal
}

// judge refuses what a relay would not seal to that takes this directory's word
// for whose certificate it is. nil: it is usable.
func (e *Engine) judge(ctx context.Context, c *certificate.Certificate, addr address.Address) *CertificateError {
	named := false
	for _, text := range c.Addresses {
		if a, err := address.Parse(text); err == nil && a.Key() == addr.Key() {
			named = true
		}
	}
	if !named {
		return &CertificateError{reason.CertificateAddress, "does not name the address " + addr.String()}
	}
	trusted, err := lookup.NewTrusted(alone{c}, lookup.TrustOptions{Vouch: lookup.Itself, MinRSABits: e.opts.MinRSABits, Clock: e.opts.Clock})
	if err != nil {
		return &CertificateError{reason.CertificateUnreadable, "cannot be judged"}
	}
	candidates := trusted.Lookup(ctx, addr).Candidates
	if len(candidates) == 1 && candidates[0].Usable {
		return nil
	}
	if len(candidates) == 1 {
		return &CertificateError{candidates[0].Reason, candidates[0].Why}
	}
	return &CertificateError{reason.CertificateUnreadable, "cannot be judged"}
}

// alone is a source that has one certificate.
type alone struct{ cert *certificate.Certificate }

// Lookup finds it for everybody.
func (a alone) Lookup(context.Context, address.Address) lookup.Answer {
	return lookup.Answer{Outcome: lookup.Found, Candidates: []lookup.Candidate{{Cert: a.cert}}}
}

// HasPrivateKey recognises private keys, alone or beside other things: PEM of any
// kind, what begins like one of other programs, PKCS #8 (encrypted too), PKCS #1,
// SEC 1, and PKCS #12.
func HasPrivateKey(data []byte) bool {
	for _, mark := range []string{"PRIVATE KEY", "PuTTY-User-Key-File", "AGE-SECRET-KEY-", "Private-Lines:"} {
		if bytes.Contains(data, []byte(mark)) {
			return true
		}
	}
	if isKeyDER(data) {
		return true
	}
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if strings.Contains(block.Type, "KEY") && block.Type != "PUBLIC KEY" || isKeyDER(block.Bytes) {
			return true
		}
	}
	return false
}

func isKeyDER(der []byte) bool {
	if _, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		return true
	}
	if _, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return true
	}
	if _, err := x509.ParseECPrivateKey(der); err == nil {
		return true
	}
	return isPFX(der) || isEncryptedKey(der)
}

// isPFX recognises PKCS #12, in BER too: a SEQUENCE that begins with version 3
// (RFC 7292 section 4).
func isPFX(der []byte) bool {
	if len(der) > 5 && der[0] == 0x30 && der[1] == 0x80 {
		return bytes.HasPrefix(der[2:], []byte{2, 1, 3, 0x30})
	}
	s := cryptobyte.String(der)
	var pfx cryptobyte.String
	var version int
	return s.ReadASN1(&pfx, asn1.SEQUENCE) && pfx.ReadASN1Integer(&version) && version == 3 && pfx.PeekASN1Tag(asn1.SEQUENCE)
}

// isEncryptedKey recognises EncryptedPrivateKeyInfo (RFC 5958 section 3): an
// algorithm for encryption by passphrase, and octets.
func isEncryptedKey(der []byte) bool {
	s := cryptobyte.String(der)
	var info, algorithm, octets cryptobyte.String
	var oid cryptobyte.String
	return s.ReadASN1(&info, asn1.SEQUENCE) && info.ReadASN1(&algorithm, asn1.SEQUENCE) &&
		algorithm.ReadASN1(&oid, asn1.OBJECT_IDENTIFIER) && info.ReadASN1(&octets, asn1.OCTET_STRING) && info.Empty()
}
