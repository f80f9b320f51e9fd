package lookup

import (
	"context"

	"sealpost/internal/address"
	"sealpost/internal/certificate"
	"sealpost/internal/reason"
)

// Chain judges the chain of one certificate, whomever it is for, with what
// stands beside it in an answer.
func (t *Trusted) Chain(c *certificate.Certificate, beside []Candidate) (reason.Token, string) {
	if no := checkExtensions(c); no != nil {
		return no.reason, no.why
	}
	j := newJudgement(context.Background(), t, address.Address{}, beside)
	if r := j.verify(c); r.no != nil {
		return r.no.reason, r.no.why
	}
	return reason.None, ""
}
