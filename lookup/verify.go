package lookup

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"sealpost/internal/address"
	"sealpost/internal/certificate"
	"sealpost/internal/reason"
)

var oidSubjectAltName = asn1.ObjectIdentifier{2, 5, 29, 17}

// maxIntermediates bounds what a source may make chain building do; the size
// of keys that are calculated with is the other bound.
const maxIntermediates = 16

// intermediates are the issuers' certificates that came with an answer.
func intermediates(candidates []Candidate) *x509.CertPool {
	pool, n := x509.NewCertPool(), 0
	for _, c := range candidates {
		if !c.Cert.IsCA || c.Cert.KeyBits > certificate.MaxRSABits || n == maxIntermediates {
			continue
		}
		if x, err := c.Cert.X509(); err == nil {
			pool.AddCert(x)
			n++
		}
	}
	return pool
}

// verify builds a chain to a root (RFC 5280 section 6) and tells until when it
// holds. Of several chains the one that lasts longest counts.
func (j *judgement) verify(c *certificate.Certificate) (until time.Time, no *refusal) {
	x, err := c.X509()
	if err != nil {
		return until, refuse(reason.CertificateUnverified, "can be read but not verified (%v)", err)
	}
	chains, err := understood(x).Verify(x509.VerifyOptions{
		Roots: j.roots, Intermediates: j.intermediates, CurrentTime: j.now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}, // the default would be TLS servers
	})
	if err != nil {
		return until, refuse(reason.CertificateUntrusted, "%s", explain(err, c))
	}
	unseen := slices.DeleteFunc(slices.Clone(c.Addresses), func(a string) bool { return slices.Contains(x.EmailAddresses, a) })
	for _, chain := range chains {
		if !constraintsAllow(chain, unseen) {
			continue
		}
		if end := lastsUntil(chain); end.After(until) {
			until = end
		}
	}
	if until.IsZero() {
		return until, refuse(reason.CertificateUntrusted, "names a mailbox that its issuer may not certify")
	}
	return until, nil
}

// understood is the certificate without the objection to a critical subject
// alternative name: one that holds nothing but an SmtpUTF8Mailbox is unknown
// to crypto/x509, and known here.
func understood(c *x509.Certificate) *x509.Certificate {
	if !slices.ContainsFunc(c.UnhandledCriticalExtensions, oidSubjectAltName.Equal) {
		return c
	}
	u := *c
	u.UnhandledCriticalExtensions = slices.DeleteFunc(slices.Clone(c.UnhandledCriticalExtensions), oidSubjectAltName.Equal)
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

// constraintsAllow applies the issuers' constraints on rfc822Name to mailboxes
// that crypto/x509 does not see, because they stand in an SmtpUTF8Mailbox
// (RFC 9598 section 6).
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
func explain(err error, c *certificate.Certificate) string {
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &unknown) && slices.Equal(c.RawIssuer, c.RawSubject):
		return "is signed by nobody but itself, and is not among the trusted roots"
	case errors.As(err, &unknown):
		return fmt.Sprintf("has no chain to a trusted root: it was issued by %s (%v)", list([]string{c.Issuer}), err)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return fmt.Sprintf("has a chain in which a certificate is not valid at this time: %s", list([]string{invalid.Cert.Subject.String()}))
	case errors.As(err, &invalid) && invalid.Reason == x509.IncompatibleUsage:
		return "has an issuer that may not certify mailboxes (extended key usage)"
	}
	return fmt.Sprintf("has no valid chain to a trusted root (%v)", err)
}
