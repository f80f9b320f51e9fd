package lookup

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sealpost/internal/address"
	"sealpost/internal/certificate"
	"sealpost/internal/reason"
	"sealpost/lookup/keydb"
	"sealpost/lookup/mirror"
)

// DirectoryOptions says which Sealpost directory is asked, and what of it is
// at hand.
type DirectoryOptions struct {
	keydb.Options
	// Find, if not nil, is asked instead of a URL: a directory in this process.
	// Without certificates it says that there are none.
	Find            func(context.Context, address.Address) ([]keydb.Certificate, error)
	MaxCertificates int            // in one answer, default 32
	Mirror          *mirror.Mirror // nil: none; it is the caller's, to follow and to close
	// Stale is for how long after its last contact with the directory the
	// mirror answers, default 24 h. Hazard: a certificate that was revoked
	// meanwhile is still used, and a new one is not.
	Stale time.Duration
	Clock func() time.Time // default: time.Now
}

// Directory asks a Sealpost directory. With a mirror it answers from that,
// without the network, as long as the mirror is complete, without damage, and
// was in contact within Stale; otherwise it asks the directory itself. Only
// what one of them says with authority is None.
type Directory struct {
	opts   DirectoryOptions
	client *keydb.Client // nil with Find
}

// NewDirectory checks the options; it does not connect. The errors are fetch.ErrURL,
// fetch.ErrCleartext, or about the token file.
func NewDirectory(opts DirectoryOptions) (*Directory, error) {
	opts.Stale = orDefault(opts.Stale, 24*time.Hour)
	if opts.MaxCertificates <= 0 {
		opts.MaxCertificates = 32
	}
	if opts.Clock == nil {
		opts.Clock = time.Now
	}
	if opts.Find != nil {
		return &Directory{opts: opts}, nil
	}
	client, err := keydb.New(opts.Options)
	if err != nil {
		return nil, err
	}
	return &Directory{opts: opts, client: client}, nil
}

// Client is what asks the directory, and the feed of its mirror; nil with Find.
func (d *Directory) Client() *keydb.Client { return d.client }

// Close closes the idle connections. The mirror stays open.
func (d *Directory) Close() {
	if d.client != nil {
		d.client.Close()
	}
}

// Lookup answers from the mirror, or asks the directory.
func (d *Directory) Lookup(ctx context.Context, addr address.Address) Answer {
	if addr.IsNull() {
		return failed(reason.LookupUnavailable, address.ErrSyntax)
	}
	if d.opts.Find != nil {
		certs, err := d.opts.Find(ctx, addr)
		if err != nil {
			return failed(reason.LookupUnavailable, err)
		}
		return d.answer(certs, "the directory in this installation")
	}
	certs, _, why := d.fromMirror(addr)
	if why == nil {
		return d.answer(certs, "mirror of "+d.client.URL())
	}
	a, err := d.client.Lookup(ctx, addr)
	switch {
	case errors.Is(err, keydb.ErrNone):
		return none()
	case err != nil:
		return failed(reason.LookupUnavailable, errors.Join(err, ignoreNoMirror(why)))
	}
	return d.answer(a.Certificates, d.client.URL())
}

// Why the mirror does not answer.
var (
	errNoMirror    = errors.New("there is no mirror")
	errMirrorStale = errors.New("the mirror has not been in contact with its directory for too long")
)

func ignoreNoMirror(err error) error {
	if errors.Is(err, errNoMirror) {
		return nil
	}
	return fmt.Errorf("nor can the mirror answer: %w", err)
}

// fromMirror is what the mirror says; why is nil when it may be believed.
func (d *Directory) fromMirror(addr address.Address) (certs []keydb.Certificate, known bool, why error) {
	m := d.opts.Mirror
	if m == nil {
		return nil, false, errNoMirror
	}
	if !m.Complete() {
		return nil, false, mirror.ErrIncomplete
	}
	if age := d.opts.Clock().Sub(m.LastContact()); age > d.opts.Stale {
		return nil, false, fmt.Errorf("%w: %s", errMirrorStale, age.Round(time.Second))
	}
	return m.Get(addr.Key())
}

// answer makes candidates of what the directory has, which may be nothing.
func (d *Directory) answer(certs []keydb.Certificate, where string) Answer {
	if len(certs) == 0 {
		return none()
	}
	if len(certs) > d.opts.MaxCertificates {
		return failed(reason.LookupUnavailable, errTooMany)
	}
	candidates, err := candidatesOf(certs, where)
	if len(candidates) == 0 {
		return failed(reason.CertificateUnreadable, err)
	}
	return Answer{Outcome: Found, Candidates: candidates, Err: err}
}

// candidatesOf reads certificates as they stand on the wire; the error tells
// which could not be read.
func candidatesOf(certs []keydb.Certificate, where string) ([]Candidate, error) {
	var candidates []Candidate
	var errs []error
	for i := range certs {
		c, err := certificate.Parse(certs[i].DER)
		if err != nil {
			errs = append(errs, fmt.Errorf("certificate %d: %w", i+1, err))
			continue
		}
		candidates = append(candidates, Candidate{Cert: c, Where: where, Capabilities: certs[i].OIDs()})
	}
	return candidates, errors.Join(errs...)
}
