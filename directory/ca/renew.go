package ca

import (
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// RenewOptions say how the issuing authority gets another certificate.
type RenewOptions struct {
	Certificate []byte // PEM, as it is now
	Key         []byte // PEM, the issuing key as it is now; not needed with NewKey
	RootKey     []byte // PEM, PKCS #8, out of its safe
	// NewKey replaces the issuing key by one of the kind (see MakeOptions.Key), and
	// the root revokes the old one: it was stolen, or lost. Empty: the key stays, and all
	// that it signed remains good.
	NewKey   string
	Lifetime time.Duration // default: DefaultIssuerLifetime
	URL      string
	Clock    func() time.Time
}

// caCompromise is a reason of RFC 5280 section 5.3.1, for an authority.
const caCompromise = 2

// Renew makes an issuing certificate that begins now, and a new list of the root.
func Renew(o RenewOptions) (*Made, error) {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Lifetime <= 0 {
		o.Lifetime = DefaultIssuerLifetime
	}
	opts := Options{Certificate: o.Certificate, Key: o.Key, URL: o.URL, Clock: o.Clock}
	if o.NewKey != "" {
		chain, _, err := parseChain(o.Certificate)
		if err != nil {
			return nil, err
		}
		opts.Key, opts.Signer = nil, lost{chain[0].PublicKey}
	}
	a, err := Open(opts)
	if err != nil {
		return nil, err
	}
	rootKey, err := parseKey(o.RootKey)
	if err != nil {
		return nil, errors.Join(ErrRootKey, err)
	}
	if !samePublic(rootKey.Public(), a.root.PublicKey) {
		return nil, ErrRootKey
	}
	if now := o.Clock(); now.After(a.root.NotAfter) {
		return nil, fmt.Errorf("%w: the root has expired, and recipients need another one", ErrExpired)
	}
	return a.renew(o, rootKey)
}

// lost is a key that signs no more.
type lost struct{ public crypto.PublicKey }

// Public is its public half.
func (l lost) Public() crypto.PublicKey { return l.public }

// Sign refuses.
func (lost) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return nil, ErrKey }

func (a *Authority) renew(o RenewOptions, rootKey crypto.Signer) (*Made, error) {
	revoked, err := a.revokedAuthorities()
	if err != nil {
		return nil, err
	}
	m := maker{root: a.root, rootKey: rootKey, url: a.opts.URL, now: o.Clock()}
	made := &Made{}
	key, subject := a.signer, a.issuer.Subject
	if o.NewKey != "" {
		if key, err = newAuthorityKey(o.NewKey); err != nil {
			return nil, err
		}
		if made.Key, err = marshalKey(key); err != nil {
			return nil, err
		}
		again := MakeOptions{Name: plainName(a.issuer.Subject.CommonName), Organization: first(a.issuer.Subject.Organization), Country: first(a.issuer.Subject.Country)}
		subject = again.subject(issuerRole, key.Public())
		revoked = append(revoked, x509.RevocationListEntry{SerialNumber: a.issuer.SerialNumber, RevocationTime: m.now.UTC(), ReasonCode: caCompromise})
	}
	issuer, err := m.issuer(subject, key.Public(), o.Lifetime)
	if err != nil {
		return nil, err
	}
	list, err := m.list(issuer, revoked)
	if err != nil {
		return nil, err
	}
	made.Certificate = marshalChain(issuer, a.root, list)
	return made, nil
}

// revokedAuthorities are those of the root's list.
func (a *Authority) revokedAuthorities() ([]x509.RevocationListEntry, error) {
	if a.rootList == nil {
		return nil, nil
	}
	list, err := x509.ParseRevocationList(a.rootList)
	if err != nil {
		return nil, err
	}
	var entries []x509.RevocationListEntry
	for _, e := range list.RevokedCertificateEntries {
		entries = append(entries, x509.RevocationListEntry{SerialNumber: e.SerialNumber, RevocationTime: e.RevocationTime, ReasonCode: e.ReasonCode})
	}
	return entries, nil
}

// plainName is the name that the authority was made with.
func plainName(commonName string) string {
	name, _, _ := strings.Cut(commonName, " "+issuerRole+" ")
	return name
}

func first(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}
