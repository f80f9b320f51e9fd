package lookup_test

import (
	"context"
	"crypto/x509"
	"slices"
	"strings"
	"testing"
	"time"

	"sealpost/internal/certificate"
	"sealpost/internal/reason"
	"sealpost/internal/testkit"
	"sealpost/lookup"
	"sealpost/lookup/revocation"
)

// minSpecimens keeps the table from shrinking unseen.
const minSpecimens = 150

// TestCertificates judges every certificate of testkit's collection, once
// where the source must prove it by a chain to a root, and once where the source
// vouches. docs/certificates.md shows the table.
func TestCertificates(t *testing.T) {
	ca, all := testkit.Specimens(t)
	if len(all) < minSpecimens {
		t.Fatalf("only %d certificates", len(all))
	}
	for _, s := range all {
		t.Run(s.Theme+"/"+s.Name+allowed(s), func(t *testing.T) {
			for vouch, want := range map[lookup.Vouch]reason.Token{lookup.PKI: s.PKI, lookup.Itself: s.Source} {
				judgeSpecimen(t, ca, s, vouch, want)
			}
		})
	}
}

func allowed(s testkit.Specimen) string {
	if s.Allow == "" {
		return ""
	}
	return " (" + s.Allow + ")"
}

func judgeSpecimen(t *testing.T, ca *testkit.CA, s testkit.Specimen, vouch lookup.Vouch, want reason.Token) {
	t.Helper()
	a := specimenSource(t, ca, s, vouch).Lookup(context.Background(), parse(t, s.Address))
	i := slices.IndexFunc(a.Candidates, func(c lookup.Candidate) bool { return c.Usable })
	if i < 0 {
		i = 0
	}
	got := a.Candidates[i]
	if got.Reason != want || got.Usable != (want == reason.None) {
		t.Errorf("vouched by %v: usable %v, reason %q (it %s); want %q", vouch, got.Usable, got.Reason, got.Why, want)
	}
	if (got.Why == "") != got.Usable || got.Until.IsZero() == got.Usable {
		t.Errorf("vouched by %v: usable %v until %v, because %q", vouch, got.Usable, got.Until, got.Why)
	}
	if len(got.Why) > 600 || strings.ContainsAny(got.Why, "\x00\n\r\x1b") {
		t.Errorf("vouched by %v: it is not fit for a log: %.800q", vouch, got.Why)
	}
	usable := a.Usable(0)
	if got.Usable != (a.Outcome == lookup.Found && len(usable) == 1 && usable[0].PublicKey != nil) {
		t.Errorf("vouched by %v: outcome %v with %d certificates to seal to", vouch, a.Outcome, len(usable))
	}
	if !got.Usable && a.Outcome != lookup.None && a.Err == nil {
		t.Errorf("vouched by %v: %v, and no word why", vouch, a.Outcome)
	}
}

// specimenSource answers with the specimen whatever address it is asked for.
func specimenSource(t *testing.T, ca *testkit.CA, s testkit.Specimen, vouch lookup.Vouch) lookup.Source {
	t.Helper()
	opts := lookup.TrustOptions{
		Vouch: vouch, Roots: []*x509.Certificate{ca.Cert}, FoldLocal: s.Allow == "trust.fold_local_part",
		SubjectAddress: s.Allow == "trust.subject_address", WholeDomain: s.Allow == "trust.allow_domain_certificate",
		Hard: strings.HasSuffix(s.Revocation, ", hard"),
	}
	var certs []*certificate.Certificate
	for _, der := range s.Certs {
		certs = append(certs, read(t, der))
	}
	if s.Pinned {
		opts.Pins = map[string]lookup.Fingerprint{parse(t, s.Address).Key(): certs[0].Fingerprint()}
	}
	if s.Revocation != "" {
		opts.Revoker = says(s.Revocation)
	}
	fallback := lookup.FallbackOptions{Tag: s.Allow == "trust.tag_fallback", WholeDomain: opts.WholeDomain, Pins: opts.Pins}
	judged := trusted(t, always(found(certs...)), opts)
	return lookup.NewFallback(judged, fallback)
}

// says is a Revoker that always says the same.
type says string

func (s says) Check(context.Context, []*x509.Certificate) revocation.Verdict {
	word, _, _ := strings.Cut(string(s), ",")
	v := revocation.Verdict{Until: time.Now().Add(time.Hour), Why: "was withdrawn, says the test"}
	v.Status = map[string]revocation.Status{"good": revocation.Good, "revoked": revocation.Revoked}[word]
	return v
}
