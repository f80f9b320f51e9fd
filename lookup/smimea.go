package lookup

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sealpost/internal/address"
	"sealpost/internal/certificate"
	"sealpost/internal/reason"
	"sealpost/lookup/smimea"
)

// SMIMEAOptions says how certificates in the DNS are looked for (RFC 8162).
type SMIMEAOptions struct {
	Resolvers       []smimea.Resolver // that validate DNSSEC; at least one, asked in order
	Timeout         time.Duration     // of one lookup, default 3 s
	Connections     int               // questions at a time, default 64
	MaxCertificates int               // in one answer, default 32
	// UnsignedUnavailable makes a domain that is not signed with DNSSEC
	// Unavailable. Otherwise it is None: the resolver has proved that the domain
	// cannot have a record that counts.
	UnsignedUnavailable bool
	Clock               func() time.Time // default: time.Now
}

// SMIMEA finds certificates in the DNS. Only what DNSSEC has proved counts.
//
// None is an authenticated denial: the resolver vouches that there is no
// record (AD, with the proof), or that there are records but none that a
// message could be sealed to (see Answer.Notes); or the domain is provably
// unsigned; or no name in the DNS can stand for the address. All else is
// Unavailable: SERVFAIL, which is also what bogus signatures give, other codes,
// silence, a resolver that does not validate, records that cannot be read.
type SMIMEA struct {
	opts   SMIMEAOptions
	client *smimea.Client
}

// errUnsigned is why records of an unsigned domain do not count.
var errUnsigned = errors.New("the domain is not signed with DNSSEC, so nothing that the DNS says of it counts")

// NewSMIMEA checks the options; it does not connect. The errors are
// smimea.ErrResolver and smimea.ErrUntrusted.
func NewSMIMEA(opts SMIMEAOptions) (*SMIMEA, error) {
	client, err := smimea.New(smimea.Options{
		Resolvers: opts.Resolvers, Timeout: opts.Timeout, Connections: opts.Connections,
		MaxRecords: opts.MaxCertificates, Clock: opts.Clock,
	})
	if err != nil {
		return nil, err
	}
	return &SMIMEA{opts, client}, nil
}

// Close closes the idle connections.
func (s *SMIMEA) Close() { s.client.Close() }

// Lookup asks for the records of an address.
func (s *SMIMEA) Lookup(ctx context.Context, addr address.Address) Answer {
	name, err := smimea.OwnerName(addr)
	switch {
	case errors.Is(err, smimea.ErrNoDomain), errors.Is(err, smimea.ErrNameTooLong):
		a := none()
		a.Notes = []string{err.Error()}
		return a
	case err != nil:
		return failed(reason.LookupUnavailable, err)
	}
	got, err := s.client.Ask(ctx, name)
	switch {
	case errors.Is(err, smimea.ErrDomain):
		return failed(reason.LookupUnavailable, Particular(err))
	case err != nil:
		return failed(reason.LookupUnavailable, err)
	case got.Secure:
		return fromRecords(got.Records, fmt.Sprintf("%s from %s", name, got.Resolver))
	case s.opts.UnsignedUnavailable:
		return failed(reason.LookupUnavailable, Particular(errUnsigned))
	}
	a := none()
	a.Notes = []string{errUnsigned.Error()}
	if n := len(got.Records); n > 0 {
		a.Notes = []string{fmt.Sprintf("%v: %d SMIMEA records not used", errUnsigned, n)}
	}
	return a
}

// fromRecords makes an answer of records that DNSSEC has proved.
func fromRecords(records []smimea.Record, where string) Answer {
	a := none()
	var anchors []Candidate
	var errs []error
	for i, r := range records {
		name := fmt.Sprintf("SMIMEA record %d (%v)", i+1, r)
		why := r.Unusable()
		if why != "" {
			a.Notes = append(a.Notes, name+" "+why)
		}
		if !r.HasCertificate() {
			continue
		}
		cert, err := certificate.Parse(r.Data)
		switch c := (Candidate{Cert: cert, Where: where + ", " + name, NeedsPKI: r.Usage == smimea.PKIXEE}); {
		case err != nil && why == "":
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		case err != nil:
		case why == "":
			a.Candidates = append(a.Candidates, c)
		case cert.IsCA:
			anchors = append(anchors, c)
		}
	}
	a.Err = errors.Join(errs...)
	switch {
	case len(a.Candidates) > 0:
		a.Outcome, a.Reason = Found, reason.None
		a.Candidates = append(a.Candidates, anchors...) // they may stand in a chain
	case a.Err != nil:
		a.Outcome, a.Reason = Unavailable, reason.CertificateUnreadable
	}
	return a
}
