package main

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"sealpost/config"
	"sealpost/internal/address"
	"sealpost/internal/certificate"
	"sealpost/internal/reason"
	"sealpost/lookup"
	"sealpost/smime/cms"
)

// A lookupReport is what `sealpost lookup` shows of one address. docs/lookup.md
// has a line for each member.
type lookupReport struct {
	Address      string              `json:"address"`
	Time         time.Time           `json:"time"`
	Outcome      string              `json:"outcome"`
	Reason       string              `json:"reason,omitempty"`
	Error        string              `json:"error,omitempty"`
	Seconds      float64             `json:"seconds"`
	Cipher       string              `json:"cipher,omitempty"`
	CipherWhy    string              `json:"cipher_why,omitempty"`
	Instead      string              `json:"certificates_of,omitempty"`
	Provision    []string            `json:"provision,omitempty"`
	Sources      []sourceReport      `json:"sources"`
	Certificates []certificateReport `json:"certificates"`
	Server       serverReport        `json:"server"`
	Remembered   []rememberedReport  `json:"remembered"`
}

type sourceReport struct {
	Name         string   `json:"name"`
	Type         string   `json:"type"`
	Trust        string   `json:"trust"`
	Instead      string   `json:"asked_for,omitempty"`
	Outcome      string   `json:"outcome"`
	Seconds      float64  `json:"seconds"`
	Certificates int      `json:"certificates"`
	Error        string   `json:"error,omitempty"`
	Notes        []string `json:"notes,omitempty"`
}

// notAsked is the outcome of a source whose turn did not come.
const notAsked = "not asked"

type certificateReport struct {
	Source       string             `json:"source"`
	Where        string             `json:"where,omitempty"`
	Subject      string             `json:"subject"`
	Issuer       string             `json:"issuer"`
	Serial       string             `json:"serial"`
	NotBefore    time.Time          `json:"not_before"`
	NotAfter     time.Time          `json:"not_after"`
	Key          string             `json:"key"`
	SHA256       lookup.Fingerprint `json:"sha256"`
	KeySHA256    lookup.Fingerprint `json:"key_sha256"`
	Addresses    []string           `json:"addresses"`
	KeyUsage     []string           `json:"key_usage,omitzero"`
	Purposes     []string           `json:"extended_key_usage,omitempty"`
	Capabilities []string           `json:"capabilities,omitempty"`
	Used         bool               `json:"used"`
	Until        *time.Time         `json:"until,omitempty"`
	Reason       string             `json:"reason,omitempty"`
	Why          string             `json:"why,omitempty"`
	Rule         string             `json:"rule,omitempty"`
	VouchedBy    string             `json:"vouched_by,omitempty"`
	Chain        []string           `json:"chain,omitempty"`

	Revocation *revocationReport `json:"revocation,omitempty"`
}

type serverReport struct {
	Running bool   `json:"running"`
	Error   string `json:"error,omitempty"`
}

// report says of an answer what there is to say.
func (r *rooms) report(a address.Address, answer lookup.Answer, now time.Time) lookupReport {
	out := lookupReport{
		Address: a.String(), Time: now.UTC().Truncate(time.Millisecond), Outcome: answer.Outcome.String(), Reason: string(answer.Reason),
		Seconds: answer.Took.Seconds(), Instead: answer.Instead.String(),
		Sources: r.sourceReports(answer), Certificates: []certificateReport{}, Remembered: []rememberedReport{},
	}
	if answer.Err != nil {
		out.Error = answer.Err.Error()
	}
	d := r.settings.Decider
	chosen, unfit := sealable(answer.Usable(d.MaxCertificates), d.Keys)
	if len(chosen) > 0 {
		cipher := d.Content.Choose(chosen, answer)
		out.Cipher, out.CipherWhy = cipher.String(), cipherWhy(r.cfg.SMIME.Content, cipher, chosen)
	} else if answer.Outcome == lookup.Found {
		out.Reason = string(reason.CertificateKeyKind)
	}
	if answer.Outcome == lookup.None {
		out.Provision = d.Policy.Provisions(a)
	}
	for _, c := range answer.Candidates {
		report := newCertificateReport(c)
		switch {
		case slices.Contains(chosen, c.Cert):
			report.Used = true
		case unfit[c.Cert] != nil:
			report.refused(reason.CertificateKeyKind, "cannot be sealed to: "+unfit[c.Cert].Error())
		case c.Usable:
			report.Why = passedOver(c.Cert, chosen, answer.Usable(0))
		}
		out.Certificates = append(out.Certificates, report)
	}
	return out
}

// sealable keeps the certificates that can be sealed to; why not, for the others.
func sealable(certs []*certificate.Certificate, o cms.KeyOptions) (fit []*certificate.Certificate, unfit map[*certificate.Certificate]error) {
	unfit = map[*certificate.Certificate]error{}
	for _, c := range certs {
		if _, err := cms.NewRecipient(c, o); err != nil {
			unfit[c] = err
			continue
		}
		fit = append(fit, c)
	}
	return fit, unfit
}

// passedOver says why a certificate is not used though nothing is wrong with it.
func passedOver(c *certificate.Certificate, chosen, ranked []*certificate.Certificate) string {
	sameKey := func(other *certificate.Certificate) bool { return bytes.Equal(other.RawPublicKey, c.RawPublicKey) }
	switch {
	case slices.ContainsFunc(chosen, sameKey):
		return "is usable, and a newer certificate for the same key is used"
	case slices.Contains(ranked, c):
		return "is usable, and others are newer: smime.max_certificates are used"
	case len(chosen) > 0 && chosen[0].KeyKind == certificate.KeyRSA:
		return "is usable, but the recipient has RSA keys too, which every reader knows, and kinds are not mixed"
	}
	return "is usable, but a newer key of the recipient is of another kind, and kinds are not mixed"
}

// cipherWhy explains the choice of the content cipher.
func cipherWhy(configured string, cipher cms.Cipher, chosen []*certificate.Certificate) string {
	switch {
	case configured != "auto":
		return "smime.content says so"
	case cipher.AEAD():
		return "smime.content is auto, and the recipient is known to read it (RFC 8551 section 2.5.2, RFC 4262)"
	case len(chosen) > 1:
		return "smime.content is auto, and it is not known of all these certificates that their owner reads AES-GCM (RFC 8551 section 2.5.2, RFC 4262); everybody reads this one"
	}
	return "smime.content is auto, and it is not known that the recipient reads AES-GCM (RFC 8551 section 2.5.2, RFC 4262); everybody reads this one"
}

// sourceReports are about all sources, in the order of the configuration for
// those whose turn did not come.
func (r *rooms) sourceReports(answer lookup.Answer) []sourceReport {
	of := map[string]*config.Source{}
	for i := range r.cfg.Lookup.Sources {
		of[r.cfg.Lookup.Sources[i].Name] = &r.cfg.Lookup.Sources[i]
	}
	out := []sourceReport{}
	asked := map[string]bool{}
	for _, s := range answer.Asked {
		report := sourceReport{Name: s.Source, Outcome: s.Outcome.String(), Seconds: s.Took.Seconds(), Notes: s.Notes, Instead: s.Instead.String()}
		if s.Err != nil {
			report.Error = s.Err.Error()
		}
		if !asked[s.Source] {
			for _, c := range answer.Candidates {
				if c.Source == s.Source && !strings.HasPrefix(c.Where, lookup.FromMemory) {
					report.Certificates++
				}
			}
		}
		asked[s.Source] = true
		out = append(out, report)
	}
	for _, s := range r.cfg.Lookup.Sources {
		if !asked[s.Name] {
			out = append(out, sourceReport{Name: s.Name, Outcome: notAsked})
		}
	}
	for i := range out {
		if s := of[out[i].Name]; s != nil {
			out[i].Type, out[i].Trust = s.Type, s.Trust
		}
	}
	return out
}

func newCertificateReport(c lookup.Candidate) certificateReport {
	r := certificateReport{
		Source: c.Source, Where: c.Where, Subject: c.Cert.Subject, Issuer: c.Cert.Issuer, Serial: serialText(c.Cert),
		NotBefore: c.Cert.NotBefore, NotAfter: c.Cert.NotAfter, Key: c.Cert.KeyName,
		SHA256: c.Cert.Fingerprint(), KeySHA256: lookup.KeyFingerprint(c.Cert), Addresses: append([]string{}, c.Cert.Addresses...),
		Purposes: oidTexts(c.Cert.ExtKeyUsage), Capabilities: oidTexts(c.Cert.Capabilities),
		Chain: c.Chain, Revocation: newRevocationReport(c.Revocation),
	}
	if c.Cert.HasKeyUsage {
		r.KeyUsage = keyUsageNames(c.Cert.KeyUsage)
	}
	if !c.Usable {
		r.refused(c.Reason, c.Why)
	} else {
		until := c.Until.UTC()
		r.Until = &until
	}
	switch {
	case c.Pinned:
		r.VouchedBy = "pin"
	case len(c.Chain) > 0:
		r.VouchedBy = lookup.PKI.String()
	case c.Usable || c.Vouch == lookup.Itself:
		r.VouchedBy = c.Vouch.String()
	}
	return r
}

func (r *certificateReport) refused(token reason.Token, why string) {
	r.Reason, r.Why, r.Rule = string(token), why, reason.Rule(token)
}

// A rememberedReport is what the running server knows by heart of an address.
type rememberedReport struct {
	Address string       `json:"address"`
	Cache   *cacheReport `json:"cache,omitempty"` // without a cache, or a server, there is none
	Keys    *mailboxKeys `json:"keys,omitempty"`
}

// A cacheReport is one answer as the cache has it.
type cacheReport struct {
	State      string     `json:"state"` // fresh, stale, expired; nothing
	Outcome    string     `json:"outcome,omitempty"`
	Reason     string     `json:"reason,omitempty"`
	Time       *time.Time `json:"time,omitempty"`
	Age        float64    `json:"age_seconds,omitempty"`
	Until      *time.Time `json:"until,omitempty"`
	StaleUntil *time.Time `json:"stale_until,omitempty"`
	File       bool       `json:"in_file,omitempty"`
	Used       []string   `json:"sha256,omitempty"` // of the certificates that mail is sealed to
	Error      string     `json:"error,omitempty"`
	Retry      *time.Time `json:"retry,omitempty"`
}

func newCacheReport(held lookup.Remembered, ok bool, now time.Time, most int) *cacheReport {
	if !ok {
		return &cacheReport{State: "nothing"}
	}
	when := func(t time.Time) *time.Time {
		if t.IsZero() {
			return nil
		}
		t = t.UTC()
		return &t
	}
	r := &cacheReport{
		State: "expired", Outcome: held.Answer.Outcome.String(), Reason: string(held.Answer.Reason),
		Time: when(held.Answer.At), Age: now.Sub(held.Answer.At).Round(time.Millisecond).Seconds(),
		Until: when(held.Until), StaleUntil: when(held.StaleUntil), File: held.File, Retry: when(held.Retry),
	}
	switch {
	case held.Fresh:
		r.State = "fresh"
	case now.Before(held.StaleUntil):
		r.State = "stale"
	}
	for _, c := range held.Answer.Usable(most) {
		f := c.Fingerprint()
		r.Used = append(r.Used, hex.EncodeToString(f[:]))
	}
	if held.Failed != nil {
		r.Error = held.Failed.Error()
	}
	return r
}

// vouching says who vouches, in words.
func (r certificateReport) vouching() string {
	switch r.VouchedBy {
	case "pin":
		return "trust.pins, which names this very certificate"
	case "source":
		return fmt.Sprintf("the source %s itself (trust: source)", r.Source)
	case "pki":
		if n := len(r.Chain); n > 1 {
			return fmt.Sprintf("a chain to %s, through %s", r.Chain[n-1], strings.Join(r.Chain[:n-1], " and "))
		} else if n == 1 {
			return "a chain to " + r.Chain[0]
		}
		return "itself: it is among the trusted roots"
	}
	return ""
}
