package importer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sealpost/internal/address"
	"sealpost/internal/certificate"
	"sealpost/internal/reason"
	"sealpost/lookup"
)

// A Refusal is why a certificate was not taken.
type Refusal struct {
	Reason reason.Token
	Why    string // the end of a sentence that begins with the certificate
}

// Error is the sentence with its reason.
func (r *Refusal) Error() string { return fmt.Sprintf("%s (%s)", r.Why, r.Reason) }

// A judge tells which addresses mail can be sealed to with a certificate. It
// serves one goroutine.
type judge struct {
	trusted *lookup.Trusted
	cert    *certificate.Certificate // the one that is being judged
}

// newJudge believes whoever runs the import that a certificate belongs to the
// mailbox that it names; everything else is looked at as a relay would.
func newJudge(minRSABits int, clock func() time.Time) (*judge, error) {
	j := &judge{}
	var err error
	j.trusted, err = lookup.NewTrusted(j, lookup.TrustOptions{Vouch: lookup.Itself, MinRSABits: minRSABits, Clock: clock})
	return j, err
}

// Lookup gives the certificate itself.
func (j *judge) Lookup(context.Context, address.Address) lookup.Answer {
	return lookup.Answer{Outcome: lookup.Found, Candidates: []lookup.Candidate{{Cert: j.cert}}}
}

var errNoAddress = &Refusal{reason.CertificateAddress, "names no mail address that can be read"}

// addresses are those of the wanted ones that the certificate can serve, or of
// all that it names when none are wanted. The error is a *Refusal.
func (j *judge) addresses(ctx context.Context, c *certificate.Certificate, wanted []address.Address) ([]address.Address, error) {
	if len(wanted) == 0 {
		for _, s := range c.Addresses {
			if a, err := address.Parse(s); err == nil {
				wanted = append(wanted, a)
			}
		}
	}
	var good []address.Address
	nearest := errNoAddress
	if c.IsCA {
		nearest = &Refusal{reason.CertificateCA, "belongs to a certification authority, not to a mailbox"}
	}
	j.cert = c
	for _, a := range wanted {
		answer := j.trusted.Lookup(ctx, a)
		if answer.Outcome == lookup.Found {
			good = append(good, a)
			continue
		}
		if no, ok := answer.Nearest(); ok {
			nearest = &Refusal{no.Reason, no.Why}
		}
	}
	if len(good) == 0 {
		return nil, nearest
	}
	return good, nil
}

// reasonOf is the token under which an Item's error is counted.
func reasonOf(err error) reason.Token {
	var r *Refusal
	if errors.As(err, &r) {
		return r.Reason
	}
	return reason.CertificateUnreadable
}
