package lookup

import (
	"context"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

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
	return &refusal{token, presentable(fmt.Sprintf(format, args...))}
}

// maxWhy is the length in bytes up to which it is said why.
const maxWhy = 500

// presentable makes words fit for a log, a terminal and an SMTP reply. They may
// quote certificates, by way of crypto/x509 too, and these come from strangers.
func presentable(why string) string {
	if len(why) > maxWhy {
		why = strings.ToValidUTF8(why[:maxWhy], "") + "…"
	}
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, why)
}

// A judgement is about all certificates that one source has for one address.
type judgement struct {
	*Trusted
	ctx      context.Context // how long may be waited for what others know
	addr     address.Address
	now      time.Time
	named    bool    // some certificate is about the address: in whatever case, in its subject, without its tag, or for its whole domain
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
	chain      []*x509.Certificate // where one to a root was built
	vouch      Vouch
	pinned     bool
	no         *refusal
}

func newJudgement(ctx context.Context, t *Trusted, addr address.Address, candidates []Candidate) *judgement {
	j := &judgement{Trusted: t, ctx: ctx, addr: addr, now: t.opts.Clock()}
	exactly := false
	for _, c := range candidates {
		how := j.naming(c.Cert)
		exactly = exactly || how == exact
		j.named = j.named || how != notAtAll
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
	if no := j.checkCA(candidate); no != nil {
		return ruling{no: no}
	}
	for _, check := range []func(*certificate.Certificate) *refusal{
		j.checkAddress, j.checkPin, j.checkKey, j.checkUsage, j.checkStrength, checkExtensions, j.checkDates,
	} {
		if no := check(c); no != nil {
			return ruling{no: no}
		}
	}
	if _, pinned := j.opts.Pins[j.addr.Key()]; pinned {
		return ruling{until: c.NotAfter, vouch: Itself, pinned: true}
	}
	if j.vouched(candidate) {
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
	case certificate.KeyRSAPSS, certificate.KeyEd25519, certificate.KeySigning:
		return refuse(token, "has a key (%s) that can only sign, not encrypt", c.KeyName)
	}
	return refuse(token, "has a key (%s) that messages cannot be sealed to%s", c.KeyName, whyNotSealed(c.KeyName))
}

// whyNotSealed says what is known of the kinds of keys that people do have.
func whyNotSealed(key string) string {
	for kind, why := range map[string]string{
		"ML-KEM":      ": no mail program can open such messages yet",
		"X448":        ": no mail program can open such messages",
		"RSAES-OAEP":  ": no mail program can open such messages; it takes an ordinary RSA key",
		"brainpool":   ": there is no implementation of its curve that hides the secret from a clock",
		"EC with exp": ": they are those of no curve that is known",
		"SM2":         ": the readers of S/MIME do not know its curve",
	} {
		if strings.HasPrefix(key, kind) {
			return why
		}
	}
	return ""
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
	if wanted == x509.KeyUsageKeyAgreement && c.HasKeyUsage && c.KeyUsage&(x509.KeyUsageDecipherOnly|x509.KeyUsageEncipherOnly) == x509.KeyUsageDecipherOnly {
		return refuse(token, "may agree on keys to decipher only (key usage), not for messages to it")
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
