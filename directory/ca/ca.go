// Package ca is the directory's own certification authority: S/MIME certificates
// for one mailbox each, for people who have none.
//
// There are two keys. The root's is made once and belongs on media that lie in a
// safe (make.go); it signs the issuing authority's certificate, and nothing else.
// The issuing key is on the server; an Authority signs with it what Issue makes,
// the list of revoked certificates (crl.go), and the answers of OCSP (ocsp.go).
//
// The package keeps nothing: who stores a certificate records it. What is known
// of serial numbers and revocations is asked of a Source.
package ca

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"strings"
	"time"
)

// Errors of this package, to be found with errors.Is.
var (
	ErrFiles   = errors.New("these are not the files of an authority")
	ErrExpired = errors.New("the issuing certificate is not valid now: renew it with sealpost directory ca renew-issuer")
	ErrKey     = errors.New("no certificate is issued for such a key: RSA from 2048 bits, or EC P-256, P-384 or P-521")
	ErrAddress = errors.New("no certificate can name this address")
)

// DefaultLifetime is how long a certificate is valid: within the 825 days that
// the S/MIME baseline requirements allow.
const DefaultLifetime = 730 * 24 * time.Hour

// Options say who issues, and how.
type Options struct {
	// Certificate is PEM: the issuing certificate, the root, and the root's list of
	// revoked authorities, as ca.Make writes them. Required.
	Certificate []byte
	// Key is the issuing key as PEM, PKCS #8. Signer takes its place where the key is
	// elsewhere. One of the two is required.
	Key    []byte
	Signer crypto.Signer
	// URL is where Handler can be reached, without its /ca; certificates say so.
	// Many programs fetch lists by http only. Empty: certificates do not say.
	URL string
	// Lifetime of a certificate; default DefaultLifetime.
	Lifetime time.Duration
	Clock    func() time.Time // default: time.Now
	Rand     io.Reader        // default: crypto/rand
	Log      *slog.Logger     // default: none
}

// An Authority issues certificates. Its methods may be called from many
// goroutines.
type Authority struct {
	opts     Options
	signer   crypto.Signer
	issuer   *x509.Certificate
	root     *x509.Certificate
	rootList []byte // DER; nil when there is none
}

// Open reads the files of an authority and sees that they fit together. That the
// issuing certificate has expired is found by Issue.
func Open(opts Options) (*Authority, error) {
	if opts.Lifetime <= 0 {
		opts.Lifetime = DefaultLifetime
	}
	if opts.Clock == nil {
		opts.Clock = time.Now
	}
	if opts.Rand == nil {
		opts.Rand = rand.Reader
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if u, err := url.Parse(opts.URL); opts.URL != "" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "") {
		return nil, fmt.Errorf("ca: %q is not the URL of a service", opts.URL)
	}
	opts.URL = strings.TrimSuffix(opts.URL, "/")
	a := &Authority{opts: opts, signer: opts.Signer}
	if err := a.readCertificates(opts.Certificate); err != nil {
		return nil, err
	}
	if a.signer == nil {
		key, err := parseKey(opts.Key)
		if err != nil {
			return nil, err
		}
		a.signer = key
	}
	if !samePublic(a.signer.Public(), a.issuer.PublicKey) {
		return nil, fmt.Errorf("%w: the key is not that of the certificate %s", ErrFiles, a.issuer.Subject)
	}
	return a, nil
}

// readCertificates takes apart the PEM file of an authority.
func (a *Authority) readCertificates(text []byte) error {
	chain, list, err := parseChain(text)
	if err != nil {
		return err
	}
	a.issuer, a.root, a.rootList = chain[0], chain[1], list
	if !a.issuer.IsCA || !a.root.IsCA {
		return fmt.Errorf("%w: %s is not an authority", ErrFiles, a.issuer.Subject)
	}
	if err := a.issuer.CheckSignatureFrom(a.root); err != nil {
		return fmt.Errorf("%w: %s did not sign %s", ErrFiles, a.root.Subject, a.issuer.Subject)
	}
	if err := a.root.CheckSignatureFrom(a.root); err != nil {
		return fmt.Errorf("%w: %s is not a root", ErrFiles, a.root.Subject)
	}
	return nil
}

// Chain gives the issuing certificate and the root, in this order.
func (a *Authority) Chain() []*x509.Certificate { return []*x509.Certificate{a.issuer, a.root} }

// valid reports whether the issuing certificate is.
func (a *Authority) valid(now time.Time) error {
	if now.Before(a.issuer.NotBefore) || now.After(a.issuer.NotAfter) {
		return fmt.Errorf("%w (it is valid from %s to %s)", ErrExpired, a.issuer.NotBefore.Format(time.DateOnly), a.issuer.NotAfter.Format(time.DateOnly))
	}
	return nil
}

// samePublic compares two public keys.
func samePublic(a, b crypto.PublicKey) bool {
	x, err := x509.MarshalPKIXPublicKey(a)
	if err != nil {
		return false
	}
	y, err := x509.MarshalPKIXPublicKey(b)
	return err == nil && bytes.Equal(x, y)
}
