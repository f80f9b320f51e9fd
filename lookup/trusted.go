package lookup

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"sealpost/internal/address"
	"sealpost/internal/reason"
)

// TrustOptions says what it takes for a certificate to be used.
type TrustOptions struct {
	Purpose     Purpose // default: Encrypt
	Vouch       Vouch
	Roots       []*x509.Certificate // for PKI, and for a Candidate that NeedsPKI
	SystemRoots bool                // also those of the operating system
	MinRSABits  int                 // default 2048
	// FoldLocal lets a certificate for Anna@example.org serve anna@example.org
	// when none names the address exactly. Hazard: where the two are different
	// mailboxes, one reads the other's mail.
	FoldLocal bool
	// SubjectAddress lets an address in the subject count where the subject
	// alternative name has none, as in certificates of before RFC 2632.
	SubjectAddress bool
	// WholeDomain lets a certificate for a whole domain count as one for its
	// DomainAuthority. See NewFallback.
	WholeDomain bool
	// Pins name, under the Key of an address, the one certificate that is used
	// for it, by the SHA-256 of its DER. It needs nobody else to vouch for it, and
	// no other is used.
	Pins map[string]Fingerprint
	// Revoker is asked about every chain to a root; nil: nobody asks whether a
	// certificate was withdrawn. What a source itself vouches for has no chain,
	// and is not asked about.
	Revoker Revoker
	// Hard refuses, for now, a certificate of which the Revoker knows nothing.
	Hard    bool
	Issuers IssuerFinder     // asked where a chain breaks off; nil: nobody is
	Clock   func() time.Time // default: time.Now
}

// Trusted judges what one source finds.
type Trusted struct {
	source  Source
	opts    TrustOptions
	roots   *x509.CertPool // nil when there are none
	refused map[reason.Token]*atomic.Uint64
}

// Why an answer is not believed.
var (
	errOthers     = errors.New("the source answered with certificates for other addresses only")
	errNotAllSeen = fmt.Errorf("the source has more than %d certificates for this address that need a chain", maxVerified)
	errWithdrawn  = errors.New("it is not known whether the certificate was withdrawn")
)

// NewTrusted wraps a source. Under PKI it needs a root; the error says so, or
// why the roots of the system cannot be read.
func NewTrusted(source Source, opts TrustOptions) (*Trusted, error) {
	if opts.MinRSABits <= 0 {
		opts.MinRSABits = 2048
	}
	if opts.Clock == nil {
		opts.Clock = time.Now
	}
	t := &Trusted{source: source, opts: opts, refused: map[reason.Token]*atomic.Uint64{}}
	for _, token := range nearness {
		t.refused[token] = new(atomic.Uint64)
	}
	if len(opts.Roots) == 0 && !opts.SystemRoots {
		if opts.Vouch == Itself {
			return t, nil
		}
		return nil, errors.New("lookup: trust by PKI needs roots")
	}
	t.roots = x509.NewCertPool()
	if opts.SystemRoots {
		var err error
		if t.roots, err = x509.SystemCertPool(); err != nil {
			return nil, fmt.Errorf("lookup: roots of the system: %w", err)
		}
	}
	for _, root := range opts.Roots {
		t.roots.AddCert(root)
	}
	return t, nil
}

// Lookup asks the source and judges each certificate in its answer.
//
// An answer in which no certificate is for the address (not even with another
// case of its local part) says nothing about the address: such a source is
// confused or lies, and the outcome is Unavailable, not None.
func (t *Trusted) Lookup(ctx context.Context, addr address.Address) Answer {
	a := t.source.Lookup(ctx, addr)
	if a.Outcome != Found {
		return a
	}
	if len(a.Candidates) == 0 {
		return failed(reason.LookupUnavailable, errNoAnswer)
	}
	return t.judge(ctx, a, addr)
}

func (t *Trusted) judge(ctx context.Context, a Answer, addr address.Address) Answer {
	j := newJudgement(ctx, t, addr, a.Candidates)
	candidates := make([]Candidate, len(a.Candidates))
	a.Outcome, a.Reason = None, reason.NoCertificate
	for i, c := range a.Candidates {
		r := j.verdict(c)
		no := r.no
		c.Usable, c.Until, c.Reason, c.Why, c.Revocation = no == nil, r.until, reason.None, "", r.revocation
		c.Vouch, c.Pinned, c.Chain = r.vouch, r.pinned, issuersOf(r.chain)
		if no != nil {
			c.Reason, c.Why = no.reason, no.why
			t.refused[no.reason].Add(1)
		} else {
			a.Outcome = Found
		}
		candidates[i] = c
	}
	a.Candidates = candidates
	switch nearest, ok := a.Nearest(); {
	case a.Outcome == Found:
		a.Reason = reason.None
	case !j.named:
		a.Outcome, a.Reason, a.Err = Unavailable, reason.CertificateAddress, errors.Join(errOthers, a.Err)
	case j.unknown != nil:
		a.Outcome, a.Reason, a.Err = Unavailable, reason.RevocationUnknown, errors.Join(j.unknown, a.Err)
	case j.verified > maxVerified: // one of the others may have been the one
		a.Outcome, a.Reason, a.Err = Unavailable, reason.LookupUnavailable, errors.Join(Particular(errNotAllSeen), a.Err)
	case a.Err != nil: // what could not be read may have been the one
		a.Outcome, a.Reason = Unavailable, reason.CertificateUnreadable
	case ok:
		a.Reason = nearest.Reason
	}
	return a
}

// Refused counts refused certificates by reason, since the start; every reason
// is there from the start. Answers out of a cache are not counted again.
func (t *Trusted) Refused() map[reason.Token]uint64 {
	counts := make(map[reason.Token]uint64, len(t.refused))
	for token, n := range t.refused {
		counts[token] = n.Load()
	}
	return counts
}
