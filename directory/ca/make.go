package ca

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"
)

// Lifetimes of the authorities' own certificates, unless others are asked for.
const (
	DefaultRootLifetime   = 20 * 365 * 24 * time.Hour
	DefaultIssuerLifetime = 5 * 365 * 24 * time.Hour
)

// What stands behind the name of an authority.
const (
	issuerRole = "S/MIME CA"
	rootRole   = "S/MIME Root"
)

// ErrNames says that an authority cannot be called so.
var ErrNames = errors.New("an authority needs a name (at most 40 characters), an organization (at most 64) and a country of two letters")

// ErrRootKey says that the root's key is not that of the root.
var ErrRootKey = errors.New("this is not the key of the root")

// MakeOptions say what a new authority is to be.
type MakeOptions struct {
	Name, Organization, Country string // as recipients see them; Country is ISO 3166's
	Key                         string // rsa-2048, rsa-3072, p-256 or p-384 for the issuing key; the root's is of the same family, and stronger
	RootLifetime                time.Duration
	IssuerLifetime              time.Duration
	URL                         string // as Options.URL
	Clock                       func() time.Time
}

// Made are the files of an authority.
type Made struct {
	Certificate []byte // PEM, for Options.Certificate
	Key         []byte // PEM, for Options.Key; nil when it was not made anew
	RootKey     []byte // PEM, PKCS #8 in the clear: for SealKey, never for the server
}

// Make makes a root and an issuing authority.
func Make(o MakeOptions) (*Made, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	strong := "rsa-4096"
	if strings.HasPrefix(o.Key, "p-") {
		strong = "p-384"
	}
	rootKey, err := newAuthorityKey(strong)
	if err != nil {
		return nil, err
	}
	key, err := newAuthorityKey(o.Key)
	if err != nil {
		return nil, err
	}
	root, err := o.root(rootKey)
	if err != nil {
		return nil, err
	}
	m := maker{root: root, rootKey: rootKey, url: o.URL, now: o.Clock()}
	issuer, err := m.issuer(o.subject(issuerRole, key.Public()), key.Public(), o.IssuerLifetime)
	if err != nil {
		return nil, err
	}
	list, err := m.list(issuer, nil)
	if err != nil {
		return nil, err
	}
	made := &Made{Certificate: marshalChain(issuer, root, list)}
	if made.Key, err = marshalKey(key); err != nil {
		return nil, err
	}
	made.RootKey, err = marshalKey(rootKey)
	return made, err
}

func (o *MakeOptions) complete() error {
	o.Country = strings.ToUpper(o.Country)
	if o.Name == "" || len([]rune(o.Name)) > 40 || o.Organization == "" || len([]rune(o.Organization)) > 64 || !country(o.Country) {
		return ErrNames
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.RootLifetime <= 0 {
		o.RootLifetime = DefaultRootLifetime
	}
	if o.IssuerLifetime <= 0 {
		o.IssuerLifetime = DefaultIssuerLifetime
	}
	o.URL = strings.TrimSuffix(o.URL, "/")
	return nil
}

func country(s string) bool {
	return len(s) == 2 && s[0] >= 'A' && s[0] <= 'Z' && s[1] >= 'A' && s[1] <= 'Z'
}

// subject names an authority; a part of its key's identifier keeps it apart from
// others of the same name.
func (o *MakeOptions) subject(role string, key crypto.PublicKey) pkix.Name {
	id, err := keyID(key)
	if err != nil {
		panic(err) // a key that newAuthorityKey made
	}
	return pkix.Name{Country: []string{o.Country}, Organization: []string{o.Organization},
		CommonName: fmt.Sprintf("%s %s %s", o.Name, role, strings.ToUpper(hex.EncodeToString(id[:3])))}
}

func (o *MakeOptions) root(key crypto.Signer) (*x509.Certificate, error) {
	now := o.Clock().UTC().Truncate(time.Second)
	t, err := authorityTemplate(o.subject(rootRole, key.Public()), key.Public(), now, o.RootLifetime)
	if err != nil {
		return nil, err
	}
	t.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	return create(t, t, key.Public(), key)
}

// A maker signs with the root's key.
type maker struct {
	root    *x509.Certificate
	rootKey crypto.Signer
	url     string
	now     time.Time
}

// issuer makes an issuing certificate.
func (m *maker) issuer(subject pkix.Name, key crypto.PublicKey, lifetime time.Duration) (*x509.Certificate, error) {
	now := m.now.UTC().Truncate(time.Second)
	t, err := authorityTemplate(subject, key, now, lifetime)
	if err != nil {
		return nil, err
	}
	t.NotAfter = earliest(t.NotAfter, m.root.NotAfter)
	t.MaxPathLenZero = true // it makes no authorities
	// It signs certificates, lists, and the answers of OCSP.
	t.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}
	t.Policies = []x509.OID{anyPolicy}
	if m.url != "" {
		t.CRLDistributionPoints = []string{m.url + PathRootList}
		t.IssuingCertificateURL = []string{m.url + PathRoot}
	}
	return create(t, m.root, key, m.rootKey)
}

// list makes the root's list of revoked authorities. It lives as long as the
// issuing certificate beside it: the root's key stays in its safe until then.
func (m *maker) list(issuer *x509.Certificate, revoked []x509.RevocationListEntry) ([]byte, error) {
	return x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: listNumber(m.now), ThisUpdate: m.now, NextUpdate: issuer.NotAfter, RevokedCertificateEntries: revoked,
	}, m.root, m.rootKey)
}

// listNumber counts lists: a later one has a larger number, whichever node made it.
func listNumber(now time.Time) *big.Int { return big.NewInt(now.UnixMilli()) }

func authorityTemplate(subject pkix.Name, key crypto.PublicKey, now time.Time, lifetime time.Duration) (*x509.Certificate, error) {
	serial, err := newSerial(rand.Reader)
	if err != nil {
		return nil, err
	}
	id, err := keyID(key)
	return &x509.Certificate{SerialNumber: serial, Subject: subject, NotBefore: now.Add(-backdate), NotAfter: now.Add(lifetime),
		BasicConstraintsValid: true, IsCA: true, SubjectKeyId: id}, err
}

func create(t, parent *x509.Certificate, key crypto.PublicKey, signer crypto.Signer) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, t, parent, key, signer)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

func newAuthorityKey(kind string) (crypto.Signer, error) {
	switch kind {
	case "rsa-2048", "":
		return rsa.GenerateKey(rand.Reader, 2048)
	case "rsa-3072":
		return rsa.GenerateKey(rand.Reader, 3072)
	case "rsa-4096":
		return rsa.GenerateKey(rand.Reader, 4096)
	case "p-256":
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "p-384":
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	}
	return nil, fmt.Errorf("ca: %q is no kind of key: rsa-2048, rsa-3072, p-256 or p-384", kind)
}
