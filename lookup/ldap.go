package lookup

import (
	"context"
	"errors"
	"fmt"

	"sealpost/internal/address"
	"sealpost/internal/certificate"
	"sealpost/internal/reason"
	"sealpost/lookup/ldap"
)

// LDAPOptions says how an LDAP directory is asked.
type LDAPOptions struct {
	ldap.Options
	MaxCertificates int // in one answer, default 32
}

// LDAP asks a directory for the certificates of the entries that match an
// address. No entry, and entries without certificates, are None; everything
// that keeps the answer from being whole is Unavailable.
type LDAP struct {
	client *ldap.Client
	most   int
}

// NewLDAP checks the options; it does not connect. The errors are those of
// ldap.New.
func NewLDAP(opts LDAPOptions) (*LDAP, error) {
	client, err := ldap.New(opts.Options)
	if err != nil {
		return nil, err
	}
	if opts.MaxCertificates <= 0 {
		opts.MaxCertificates = 32
	}
	return &LDAP{client, opts.MaxCertificates}, nil
}

// Close closes the idle connections.
func (l *LDAP) Close() { l.client.Close() }

// Lookup asks the directory.
func (l *LDAP) Lookup(ctx context.Context, addr address.Address) Answer {
	entries, err := l.client.Search(ctx, addr)
	if ldap.Particular(err) {
		err = Particular(err)
	}
	if err != nil {
		return failed(reason.LookupUnavailable, err)
	}
	a := Answer{Outcome: Found}
	var errs []error
	empty := true
	for _, e := range entries {
		for _, value := range e.Values {
			empty = false
			certs, err := certificate.ParseAll(value)
			if err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", e.Where, err))
			}
			for _, c := range certs {
				a.Candidates = append(a.Candidates, Candidate{Cert: c, Where: e.Where})
			}
			if len(a.Candidates)+len(errs) > l.most {
				return failed(reason.LookupUnavailable, Particular(errTooMany))
			}
		}
	}
	a.Err = errors.Join(errs...)
	switch {
	case empty:
		return none()
	case len(a.Candidates) == 0:
		return failed(reason.LookupUnavailable, Particular(a.Err))
	}
	return a
}
