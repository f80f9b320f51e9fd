package lookup

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unique"

	"sealpost/internal/address"
	"sealpost/internal/certificate"
	"sealpost/internal/reason"
	"sealpost/lookup/revocation"
)

// Bounds on what a source may make chain building do. crypto/x509 has one of
// its own, of a hundred signatures a certificate; the size of keys that are
// calculated with is another.
const (
	maxIntermediates = 16 // for one certificate
	maxVerified      = 64 // certificates of one answer
	maxChains        = 4  // of one certificate, that are asked about
)

// verify builds chains to a root (RFC 5280 section 6, RFC 8550 section 4), and
// asks whether a certificate in them was withdrawn. Of several chains of which
// the same is known, the one that lasts longest counts.
func (j *judgement) verify(c *certificate.Certificate) ruling {
	if j.verified++; j.verified > maxVerified {
		return ruling{no: refuse(reason.CertificateUnverified, "was not looked at: the source has more than %d for this address", maxVerified)}
	}
	x, err := c.X509()
	if err != nil {
		return ruling{no: refuse(reason.CertificateUnverified, "can be read but not verified (%v)", err)}
	}
	chains, no := j.chains(x, c)
	if no != nil {
		return ruling{no: no}
	}
	slices.SortStableFunc(chains, func(a, b []*x509.Certificate) int { return lastsUntil(b).Compare(lastsUntil(a)) })
	if j.opts.Revoker == nil {
		return ruling{until: lastsUntil(chains[0]), chain: chains[0]}
	}
	return j.askRevoker(chains[:min(len(chains), maxChains)])
}

// chains gives at least one chain that proves that the certificate is what it
// says, or why there is none.
func (j *judgement) chains(x *x509.Certificate, c *certificate.Certificate) ([][]*x509.Certificate, *refusal) {
	j.missing = ""
	known := j.issuers.above(x)
	chains, err := j.build(x, known)
	for round := 0; round < maxFetchRounds && breaksOff(err) && j.opts.Issuers != nil; round++ {
		more := j.fetchIssuers(x, known)
		if len(more) == 0 {
			break
		}
		known = append(known, more...)
		chains, err = j.build(x, known)
	}
	if err != nil {
		return nil, j.explain(err, c, known)
	}
	chains = slices.DeleteFunc(chains, func(chain []*x509.Certificate) bool { return !constraintsAllow(chain, addressesOf(c)) })
	if len(chains) == 0 {
		return nil, refuse(reason.CertificateUntrusted, "names a mailbox that its issuer may not certify")
	}
	return chains, nil
}

func (j *judgement) build(x *x509.Certificate, known []*x509.Certificate) ([][]*x509.Certificate, error) {
	pool := x509.NewCertPool()
	for _, k := range known {
		pool.AddCert(k)
	}
	return understood(x).Verify(x509.VerifyOptions{
		Roots: j.roots, Intermediates: pool, CurrentTime: j.now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}, // the default would be TLS servers
	})
}

// askRevoker takes the first chain that is known to be good, or else the first
// of which nothing is known. A certificate is withdrawn when no chain is left.
func (j *judgement) askRevoker(chains [][]*x509.Certificate) ruling {
	best := ruling{revocation: revocation.Verdict{Status: revocation.Revoked}}
	for _, chain := range chains {
		v := j.opts.Revoker.Check(j.ctx, chain)
		if better := rank(v.Status) > rank(best.revocation.Status); better || best.revocation.Why == "" {
			best = ruling{until: lastsUntil(chain), chain: chain, revocation: v}
		}
		if v.Status == revocation.Good {
			break
		}
	}
	v := best.revocation
	switch {
	case v.Status == revocation.Revoked:
		best.no = refuse(reason.CertificateRevoked, "%s", v.Why)
	case v.Status == revocation.Unknown && j.opts.Hard:
		best.no = refuse(reason.RevocationUnknown, "may have been withdrawn, which nobody knows now: %s", v.Why)
		j.unknown = fmt.Errorf("%w: %s", errWithdrawn, v.Why)
	case j.opts.Hard:
		best.until = earliest(best.until, v.Until)
	}
	if best.no != nil {
		best.until = time.Time{}
	}
	return best
}

func rank(s revocation.Status) int {
	return map[revocation.Status]int{revocation.Unknown: 1, revocation.Good: 2}[s]
}

// issuersOf names the issuers in a chain. Many certificates share them, so they
// share the texts too.
func issuersOf(chain []*x509.Certificate) []string {
	if len(chain) == 0 {
		return nil
	}
	names := make([]string, 0, len(chain)-1)
	for _, c := range chain[1:] {
		names = append(names, unique.Make(certificate.Name(c.RawSubject)).Value())
	}
	return names
}

// understood is the certificate without the objection to critical extensions:
// those that are not understood here were refused before. crypto/x509 does not
// know, among others, a subject alternative name with nothing but an
// SmtpUTF8Mailbox in it, and the statements of qualified certificates.
func understood(c *x509.Certificate) *x509.Certificate {
	if len(c.UnhandledCriticalExtensions) == 0 {
		return c
	}
	u := *c
	u.UnhandledCriticalExtensions = nil
	return &u
}

func lastsUntil(chain []*x509.Certificate) time.Time {
	end := chain[0].NotAfter
	for _, c := range chain[1:] {
		if c.NotAfter.Before(end) {
			end = c.NotAfter
		}
	}
	return end
}

// constraintsAllow applies the issuers' constraints on rfc822Name to every
// mailbox: to those that crypto/x509 does not see, because they stand in an
// SmtpUTF8Mailbox (RFC 9598 section 6), and once more to the others, because
// it takes a permitted host for the hosts below it too (NIST PKITS 4.13.24).
func constraintsAllow(chain []*x509.Certificate, mailboxes []string) bool {
	for _, issuer := range chain[1:] {
		permitted, excluded := issuer.PermittedEmailAddresses, issuer.ExcludedEmailAddresses
		if len(permitted) == 0 && len(excluded) == 0 {
			continue
		}
		for _, s := range mailboxes {
			mailbox, err := address.Parse(s)
			if err != nil {
				return false
			}
			within := func(constraint string) bool { return constraintCovers(constraint, mailbox) }
			if slices.ContainsFunc(excluded, within) || len(permitted) > 0 && !slices.ContainsFunc(permitted, within) {
				return false
			}
		}
	}
	return true
}

// constraintCovers reads the three forms of RFC 5280 section 4.2.1.10: a
// mailbox, the mailboxes of a host, and with a leading dot those of every host
// below a domain.
func constraintCovers(constraint string, mailbox address.Address) bool {
	if c, err := address.Parse(constraint); err == nil {
		return c.Key() == mailbox.Key()
	}
	below, isBelow := strings.CutPrefix(constraint, ".")
	domain, err := address.Domain(below)
	if err != nil {
		return false
	}
	if isBelow {
		return strings.HasSuffix(mailbox.ASCIIDomain(), "."+domain)
	}
	return mailbox.ASCIIDomain() == domain
}

// explain puts an error of chain building into words.
func (j *judgement) explain(err error, c *certificate.Certificate, known []*x509.Certificate) *refusal {
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	var critical x509.UnhandledCriticalExtension
	switch {
	case errors.As(err, &unknown) && slices.Equal(c.RawIssuer, c.RawSubject):
		return refuse(reason.CertificateUntrusted, "is signed by nobody but itself, and is not among the trusted roots")
	case errors.As(err, &unknown):
		return j.explainBreak(unknown, c, known)
	case errors.As(err, &critical):
		return refuse(reason.CertificateUnverified, "has a chain in which a critical extension is not understood, and so must not be used")
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return refuse(reason.CertificateUntrusted, "has a chain in which a certificate is not valid at this time: %s", list([]string{invalid.Cert.Subject.String()}))
	case errors.As(err, &invalid) && invalid.Reason == x509.IncompatibleUsage:
		return refuse(reason.CertificateUntrusted, "has an issuer that may not certify mailboxes (extended key usage)")
	}
	return refuse(reason.CertificateUntrusted, "has no valid chain to a trusted root (%v)", err)
}

// explainBreak says where a chain breaks off: crypto/x509 knows no issuer, or
// knows one and does not accept it.
func (j *judgement) explainBreak(err x509.UnknownAuthorityError, c *certificate.Certificate, known []*x509.Certificate) *refusal {
	if x := err.Cert; x != nil && forgeable(x.SignatureAlgorithm) {
		return refuse(reason.CertificateUnverified, "is signed with %v, which can be forged", x.SignatureAlgorithm)
	} else if x != nil && x.SignatureAlgorithm == x509.UnknownSignatureAlgorithm {
		return refuse(reason.CertificateUnverified, "has in its chain a signature (of %s) that cannot be checked: its algorithm, or one of its parameters, is not supported",
			list([]string{x.Subject.String()}))
	}
	for _, k := range known {
		name := list([]string{k.Subject.String()})
		switch {
		case len(k.UnhandledCriticalExtensions) > 0:
			return refuse(reason.CertificateUnverified, "has an issuer (%s) with a critical extension that is not understood (%s)",
				name, k.UnhandledCriticalExtensions[0])
		case k.PublicKey == nil:
			return refuse(reason.CertificateUnverified, "has an issuer (%s) whose key is of a kind with which signatures cannot be checked", name)
		case forgeable(k.SignatureAlgorithm) && !slices.Equal(k.RawIssuer, k.RawSubject):
			return refuse(reason.CertificateUnverified, "has an issuer (%s) whose certificate is signed with %v, which can be forged",
				name, k.SignatureAlgorithm)
		}
	}
	return refuse(reason.CertificateUntrusted, "has no chain to a trusted root: it was issued by %s%s (%v)", list([]string{c.Issuer}), j.missing, err)
}

// forgeable reports whether a signature of this kind no longer proves anything.
func forgeable(a x509.SignatureAlgorithm) bool {
	switch a {
	case x509.MD2WithRSA, x509.MD5WithRSA, x509.SHA1WithRSA, x509.DSAWithSHA1, x509.ECDSAWithSHA1:
		return true
	}
	return false
}
