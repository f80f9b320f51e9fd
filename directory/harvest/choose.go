package harvest

import (
	"bytes"
	"context"
	"crypto/x509"

	"sealpost/internal/address"
	"sealpost/internal/certificate"
	"sealpost/internal/reason"
	"sealpost/lookup"
)

// A choice is the certificate to encrypt to, and in words how it was found.
type choice struct {
	cert *certificate.Certificate
	how  string
}

// choose finds the certificate that mail to the signer is encrypted to:
//
//  1. the one that the signature names (RFC 8551 section 2.5.3), or none at all;
//  2. else one in the message that is for encryption only;
//  3. else the signer's own;
//  4. else any other one in the message.
//
// No signature covers the certificates in a message, so that anybody can have
// added some. A chain to a trusted root makes up for that, and for those that
// the signature does not name it is asked, too, that the signer's issuer issued
// them. Where nobody vouches (trust on first use), one that is not the signer's
// own must have been issued, provably, by who issued the signer's.
func (h *Harvester) choose(ctx context.Context, all []*certificate.Certificate, s signature, from address.Address) (choice, error) {
	v, err := h.judge(ctx, lookup.Encrypt, from, all)
	if err != nil {
		return choice{}, err
	}
	if s.by.Preference != nil {
		return h.preferred(all, v, s)
	}
	var dedicated, other, foreign *certificate.Certificate
	for _, c := range all {
		switch {
		case c == s.own || !v[c].Usable:
		case !h.related(c, s.own, all):
			foreign = newer(foreign, c)
		case c.HasKeyUsage && c.KeyUsage&x509.KeyUsageDigitalSignature == 0:
			dedicated = newer(dedicated, c)
		default:
			other = newer(other, c)
		}
	}
	switch {
	case dedicated != nil:
		return choice{dedicated, "the sender's encryption certificate in the message"}, nil
	case v[s.own].Usable:
		return choice{s.own, "the certificate that signed"}, nil
	case other != nil:
		return choice{other, "another certificate of the sender in the message"}, nil
	case foreign != nil:
		return choice{}, refuse(reason.EncryptionCertForeign, "The encryption certificate in the message was not issued by who issued the signer's.")
	}
	return choice{}, unusable("The certificate that signed ", v[s.own])
}

// preferred takes the certificate that the signature names. Several may be what
// it names; one of them must do.
func (h *Harvester) preferred(all []*certificate.Certificate, v verdicts, s signature) (choice, error) {
	var best *certificate.Certificate
	refusal := refuse(reason.EncryptionCertMissing, "The signature names a certificate to encrypt to that is not in the message.")
	for _, c := range all {
		if !s.by.Preference.Names(c) {
			continue
		}
		switch {
		case !v[c].Usable:
			refusal = unusable("The certificate to encrypt to, which the signature names, ", v[c])
			if v[c].Reason == reason.CertificateAddress {
				refusal.Reason = reason.EncryptionCertForeign
			}
		case c != s.own && h.opts.Trust.Vouch == lookup.Itself && !issuedAlike(c, s.own, all):
			refusal = refuse(reason.EncryptionCertForeign, "The certificate to encrypt to was not provably issued by who issued the signer's.")
		default:
			best = newer(best, c)
		}
	}
	if best == nil {
		return choice{}, refusal
	}
	return choice{best, "the certificate that the signature names"}, nil
}

// related tells whether a certificate that the signature does not name may be
// the signer's.
func (h *Harvester) related(c, own *certificate.Certificate, all []*certificate.Certificate) bool {
	if h.opts.Trust.Vouch == lookup.Itself {
		return issuedAlike(c, own, all)
	}
	return bytes.Equal(c.RawIssuer, own.RawIssuer)
}

// maxIssuers bounds the signatures that are verified for one question.
const maxIssuers = 4

// issuedAlike proves that one issuer, whose certificate is at hand, issued both.
func issuedAlike(a, b *certificate.Certificate, all []*certificate.Certificate) bool {
	x, err := a.X509()
	if err != nil {
		return false
	}
	y, err := b.X509()
	if err != nil {
		return false
	}
	for _, issuer := range issuersOf(b, all) {
		if x.CheckSignatureFrom(issuer) == nil && y.CheckSignatureFrom(issuer) == nil {
			return true
		}
	}
	return false
}

// issuersOf gives those who say that they may have issued c.
func issuersOf(c *certificate.Certificate, all []*certificate.Certificate) []*x509.Certificate {
	var found []*x509.Certificate
	for _, i := range all {
		if !i.IsCA || i.KeyBits > certificate.MaxRSABits || !bytes.Equal(i.RawSubject, c.RawIssuer) || len(found) == maxIssuers {
			continue
		}
		if x, err := i.X509(); err == nil {
			found = append(found, x)
		}
	}
	return found
}

// maxChain bounds what is kept of a chain.
const maxChain = 8

// chainOf gives the issuers of c, as far as they are at hand, each proven by its
// signature.
func chainOf(c *certificate.Certificate, all []*certificate.Certificate) []*certificate.Certificate {
	var chain []*certificate.Certificate
	for len(chain) < maxChain && !bytes.Equal(c.RawIssuer, c.RawSubject) {
		next := issuerOf(c, all)
		if next == nil {
			break
		}
		chain = append(chain, next)
		c = next
	}
	return chain
}

func issuerOf(c *certificate.Certificate, all []*certificate.Certificate) *certificate.Certificate {
	x, err := c.X509()
	if err != nil {
		return nil
	}
	for _, issuer := range issuersOf(c, all) {
		if x.CheckSignatureFrom(issuer) != nil {
			continue
		}
		for _, i := range all {
			if bytes.Equal(i.Raw, issuer.Raw) {
				return i
			}
		}
	}
	return nil
}

// newer gives the one that was issued later; a may be nil.
func newer(a, b *certificate.Certificate) *certificate.Certificate {
	if a == nil || b.NotBefore.After(a.NotBefore) {
		return b
	}
	return a
}
