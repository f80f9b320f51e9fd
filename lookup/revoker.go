package lookup

import (
	"context"
	"crypto/x509"

	"sealpost/lookup/revocation"
)

// A Revoker knows whether the certificates of a chain were withdrawn; a
// *revocation.Checker is one. The chain goes from the recipient's certificate
// to a trusted root, which is not asked about.
//
// Check answers from what it has. Where it has nothing yet it may wait for a
// while, at most until ctx ends: only lookups that the cache does not answer
// come here.
type Revoker interface {
	Check(ctx context.Context, chain []*x509.Certificate) revocation.Verdict
}

// An IssuerFinder fetches the certificates of an issuer from where a
// certificate says that they are (authority information access, RFC 5280
// section 4.2.2.1). What it gives is believed no more than what a source gives.
type IssuerFinder interface {
	Issuers(ctx context.Context, cert *x509.Certificate) ([]*x509.Certificate, error)
}
