package lookup

import (
	"bytes"
	"crypto/x509"

	"sealpost/internal/certificate"
	"sealpost/internal/reason"
)

// checkCA refuses the certificates of authorities, but not those that people
// make for themselves with `openssl req -x509`: these say that they are an
// authority and have no other mark of one. Where somebody vouches for such a
// certificate, it does no harm that it says so (RFC 5280 section 4.2.1.9).
func (j *judgement) checkCA(candidate Candidate) *refusal {
	c := candidate.Cert
	switch {
	case !c.IsCA:
		return nil
	case !homemade(c) || j.checkAddress(c) != nil:
		return refuse(reason.CertificateCA, "belongs to a certification authority, not to a mailbox")
	case j.vouched(candidate):
		return nil
	}
	return refuse(reason.CertificateCA, "is self-signed and says that it is an authority; only a source that vouches itself can make it usable")
}

// homemade reports a self-signed certificate without the usages of an
// authority.
func homemade(c *certificate.Certificate) bool {
	const authority = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	return bytes.Equal(c.RawIssuer, c.RawSubject) && (!c.HasKeyUsage || c.KeyUsage&authority == 0)
}

// vouched reports that a certificate needs no chain to a root: its source
// vouches for it, or the operator himself.
func (j *judgement) vouched(candidate Candidate) bool {
	_, pinned := j.opts.Pins[j.addr.Key()]
	return pinned || j.opts.Vouch == Itself && !candidate.NeedsPKI
}
