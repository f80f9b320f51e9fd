package lookup

import (
	"context"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"

	"sealpost/internal/address"
	"sealpost/internal/certificate"
	"sealpost/internal/reason"
	"sealpost/lookup/revocation"
)

// A refusal is why a certificate is not used.
type refusal struct {
	reason reason.Token
	why    string
}

func refuse(token reason.Token, format string, args ...any) *refusal {
	return &refusal{token, fmt.Sprintf(format, args...)}
}

// A judgement is about all certificates that one source has for one address.
type judgement struct {
	*Trusted
	ctx      context.Context // how long may be waited for what others know
	addr     address.Address
	now      time.Time
	named    bool    // some certificate is for the address, in whatever case
	folded   bool    // none is for it exactly, and the operator allows another case
	issuers  issuers // when there are roots: the authorities' certificates in the answer
	verified int     // certificates for which a chain was asked
	missing  string  // why the issuer of the last one is not there, in words
	unknown  error   // what is not known of a certificate that would be used otherwise
}

// A ruling is about one certificate: it may be used until, or no says why not.
type ruling struct {
	until      time.Time
	revocation revocation.Verdict
	vouch      Vouch
	pinned     bool
	no         *refusal
}

func newJudgement(ctx context.Context, t *Trusted, addr address.Address, candidates []Candidate) *judgement {
	j := &judgement{Trusted: t, ctx: ctx, addr: addr, now: t.opts.Clock()}
	exactly := false
	for _, c := range candidates {
		switch names(c.Cert, addr) {
		case exact:
			exactly, j.named = true, true
		case otherCase:
			j.named = true
		}
	}
	j.folded = t.opts.FoldLocal && !exactly
	if t.roots != nil {
		j.issuers = newIssuers(candidates)
	}
	return j
}

// verdict rules on one certificate. What can never be cured is looked at first,
// the dates last but one, and the chain, which costs most, last.
func (j *judgement) verdict(candidate Candidate) ruling {
	c := candidate.Cert
	for _, check := range []func(*certificate.Certificate) *refusal{
		j.checkCA, j.checkAddress, j.checkPin, j.checkKey, j.checkUsage, j.checkStrength, checkExtensions, j.checkDates,
	} {
		if no := check(c); no != nil {
			return ruling{no: no}
		}
	}
	if _, pinned := j.opts.Pins[j.addr.Key()]; pinned {
		return ruling{until: c.NotAfter, vouch: Itself, pinned: true}
	}
	if j.opts.Vouch == Itself && !candidate.NeedsPKI {
		return ruling{until: c.NotAfter, vouch: Itself}
	}
	if j.roots == nil {
		return ruling{no: refuse(reason.CertificateUntrusted, "may be used with a chain to a trusted root only, says its source, and no root is configured")}
	}
	return j.verify(c)
}

// checkPin lets pass, where the operator has named one certificate, only that.
func (j *judgement) checkPin(c *certificate.Certificate) *refusal {
	pin, pinned := j.opts.Pins[j.addr.Key()]
	if pinned && c.Fingerprint() != pin {
		return refuse(reason.CertificateNotPinned, "is not the one that trust.pins names for this address (SHA-256 %s)", pin)
	}
	return nil
}

func (j *judgement) checkCA(c *certificate.Certificate) *refusal {
	if c.IsCA {
		return refuse(reason.CertificateCA, "belongs to a certification authority, not to a mailbox")
	}
	return nil
}

// How a certificate names an address.
const (
	notAtAll = iota
	otherCase
	exact
)

// names compares with every address in the subject alternative name (RFC 8550
// section 3, RFC 9598 section 5): the domain in its one form, so that both
// spellings of an IDN are equal, and the local part exactly, or but for case.
func names(c *certificate.Certificate, addr address.Address) int {
	best := notAtAll
	for _, s := range c.Addresses {
		a, err := address.Parse(s)
		if err != nil || a.ASCIIDomain() != addr.ASCIIDomain() {
			continue
		}
		if a.Local() == addr.Local() {
			return exact
		}
		if strings.EqualFold(a.Local(), addr.Local()) {
			best = otherCase
		}
	}
	return best
}

func (j *judgement) checkAddress(c *certificate.Certificate) *refusal {
	const token = reason.CertificateAddress
	how := names(c, j.addr)
	switch {
	case how == exact, how == otherCase && j.folded:
		return nil
	case how == otherCase:
		return refuse(token, "is for %s, which differs from %s in upper and lower case", list(c.Addresses), j.addr)
	case len(c.Addresses) > 0:
		return refuse(token, "is for %s, not for %s", list(c.Addresses), j.addr)
	case len(c.SubjectAddresses) > 0:
		return refuse(token, "names %s in its subject only; what counts is the subject alternative name", list(c.SubjectAddresses))
	}
	return refuse(token, "names no mail address at all")
}

// list writes a few names; they come from strangers, so quoted where odd.
func list(names []string) string {
	const shown = 3
	var b strings.Builder
	for i, name := range names[:min(len(names), shown)] {
		if i > 0 {
			b.WriteString(", ")
		}
		if len(name) > 100 {
			name = name[:100]
		}
		if q := fmt.Sprintf("%q", name); q[1:len(q)-1] != name {
			name = q
		}
		b.WriteString(name)
	}
	if more := len(names) - shown; more > 0 {
		fmt.Fprintf(&b, " and %d more", more)
	}
	return b.String()
}

func (j *judgement) checkKey(c *certificate.Certificate) *refusal {
	const token = reason.CertificateKeyKind
	if j.opts.Purpose == Sign {
		return checkSigningKey(c)
	}
	switch c.KeyKind {
	case certificate.KeyRSA, certificate.KeyEC, certificate.KeyX25519:
		if c.PublicKey == nil {
			return refuse(token, "has a key (%s) that is damaged or beyond all measure", c.KeyName)
		}
		return nil
	case certificate.KeyRSAPSS, certificate.KeyEd25519:
		return refuse(token, "has a key (%s) that can only sign, not encrypt", c.KeyName)
	}
	return refuse(token, "has a key (%s) that messages cannot be sealed to", c.KeyName)
}

// Purposes under which a key may be used for mail (RFC 8550 section 4.4.4).
const (
	oidEmailProtection = "1.3.6.1.5.5.7.3.4"
	oidAnyPurpose      = "2.5.29.37.0"
)

// checkUsage looks at key usage and extended key usage; without the extension
// everything is allowed.
func (j *judgement) checkUsage(c *certificate.Certificate) *refusal {
	const token = reason.CertificateUsage
	wanted, word := x509.KeyUsageKeyAgreement, "keyAgreement"
	if c.KeyKind == certificate.KeyRSA {
		wanted, word = x509.KeyUsageKeyEncipherment, "keyEncipherment"
	}
	if j.opts.Purpose == Sign {
		wanted, word = signingUsage, "digitalSignature"
	}
	if c.HasKeyUsage && c.KeyUsage&wanted == 0 {
		return refuse(token, "is not for %s: its key usage lacks %s", j.opts.Purpose, word)
	}
	for _, oid := range c.ExtKeyUsage {
		if s := oid.String(); s == oidEmailProtection || s == oidAnyPurpose {
			return nil
		}
	}
	if len(c.ExtKeyUsage) > 0 {
		return refuse(token, "is not for mail: its extended key usage lacks emailProtection")
	}
	return nil
}

func (j *judgement) checkStrength(c *certificate.Certificate) *refusal {
	if (c.KeyKind == certificate.KeyRSA || c.KeyKind == certificate.KeyRSAPSS) && c.KeyBits < j.opts.MinRSABits {
		return refuse(reason.CertificateWeakKey, "has an RSA key of %d bits; at least %d are asked for", c.KeyBits, j.opts.MinRSABits)
	}
	return nil
}

func checkExtensions(c *certificate.Certificate) *refusal {
	if len(c.UnknownCritical) == 0 {
		return nil
	}
	oids := make([]string, len(c.UnknownCritical))
	for i, oid := range c.UnknownCritical {
		oids[i] = oid.String()
	}
	slices.Sort(oids)
	return refuse(reason.CertificateUnverified, "has a critical extension that is not understood (%s), and so must not be used", list(oids))
}

func (j *judgement) checkDates(c *certificate.Certificate) *refusal {
	if j.now.Before(c.NotBefore) {
		return refuse(reason.CertificateNotYetValid, "is valid only from %s", date(c.NotBefore))
	}
	if !j.now.Before(c.NotAfter) {
		return refuse(reason.CertificateExpired, "expired on %s", date(c.NotAfter))
	}
	return nil
}

func date(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 MST") }
