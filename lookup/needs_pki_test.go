package lookup_test

import (
	"context"
	"crypto/x509"
	"testing"

	"sealpost/internal/reason"
	"sealpost/internal/testkit"
	"sealpost/lookup"
)

// A source that vouches may still ask for a chain, certificate by certificate.
func TestTrustedNeedsPKI(t *testing.T) {
	ca, stranger := testkit.NewCA(t), testkit.NewCA(t)
	leaf := testkit.Leaf{Addresses: []string{anna}, Key: "p256"}
	known, unknown := issue(t, ca, leaf), issue(t, stranger, leaf)
	for name, test := range map[string]struct {
		roots []*x509.Certificate
		c     lookup.Candidate
		want  reason.Token
	}{
		"vouched, no roots":      {nil, lookup.Candidate{Cert: unknown}, reason.None},
		"vouched, other roots":   {[]*x509.Certificate{ca.Cert}, lookup.Candidate{Cert: unknown}, reason.None},
		"needs PKI, no roots":    {nil, lookup.Candidate{Cert: known, NeedsPKI: true}, reason.CertificateUntrusted},
		"needs PKI, other roots": {[]*x509.Certificate{ca.Cert}, lookup.Candidate{Cert: unknown, NeedsPKI: true}, reason.CertificateUntrusted},
		"needs PKI, its root":    {[]*x509.Certificate{ca.Cert}, lookup.Candidate{Cert: known, NeedsPKI: true}, reason.None},
	} {
		source := always(lookup.Answer{Outcome: lookup.Found, Candidates: []lookup.Candidate{test.c}})
		a := trusted(t, source, lookup.TrustOptions{Vouch: lookup.Itself, Roots: test.roots}).Lookup(context.Background(), parse(t, anna))
		if got := a.Candidates[0]; got.Reason != test.want || got.Usable != (test.want == reason.None) {
			t.Errorf("%s: usable %v, reason %q (%s)", name, got.Usable, got.Reason, got.Why)
		}
	}
}

// Notes reach whoever asks the chain, beside any outcome.
func TestChainPassesNotesOn(t *testing.T) {
	for _, a := range []lookup.Answer{{Outcome: lookup.None}, found(issue(t, testkit.NewCA(t), testkit.Leaf{Addresses: []string{anna}, Key: "p256"}))} {
		a.Notes = []string{"a bare key"}
		c := chain(t, lookup.ChainOptions{}, lookup.Link{Name: "dns", Source: trusted(t, always(a), lookup.TrustOptions{Vouch: lookup.Itself})})
		got := c.Lookup(context.Background(), parse(t, anna))
		if got.Outcome != a.Outcome || len(got.Asked) != 1 || len(got.Asked[0].Notes) != 1 {
			t.Errorf("%v: %+v", a.Outcome, got.Asked)
		}
	}
}
