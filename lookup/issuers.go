package lookup

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"

	"sealpost/internal/certificate"
)

const (
	maxFetchRounds = 3 // levels of authorities that are fetched for one certificate
	maxFetched     = 8 // certificates that one round may bring
)

// issuers are the authorities' certificates that came with an answer, by
// subject: of a large bundle only those above a certificate are ever read.
type issuers struct {
	bySubject map[string][]*certificate.Certificate
	read      map[*certificate.Certificate]*x509.Certificate // nil where crypto/x509 refuses it
}

func newIssuers(candidates []Candidate) issuers {
	s := issuers{map[string][]*certificate.Certificate{}, map[*certificate.Certificate]*x509.Certificate{}}
	for _, c := range candidates {
		if c.Cert.IsCA && c.Cert.KeyBits <= certificate.MaxRSABits {
			s.bySubject[string(c.Cert.RawSubject)] = append(s.bySubject[string(c.Cert.RawSubject)], c.Cert)
		}
	}
	return s
}

// above gives what may be issuers of a certificate, and issuers of those, the
// nearest first. Rings of authorities that certify each other end it, as does
// the bound.
func (s issuers) above(x *x509.Certificate) []*x509.Certificate {
	var found []*x509.Certificate
	seen := map[string]bool{}
	for queue := [][]byte{x.RawIssuer}; len(queue) > 0; queue = queue[1:] {
		name := string(queue[0])
		if seen[name] {
			continue
		}
		seen[name] = true
		for _, c := range s.bySubject[name] {
			if len(found) == maxIntermediates {
				return found
			}
			if issuer := s.parse(c); issuer != nil {
				found = append(found, issuer)
				queue = append(queue, issuer.RawIssuer)
			}
		}
	}
	return found
}

func (s issuers) parse(c *certificate.Certificate) *x509.Certificate {
	x, ok := s.read[c]
	if !ok {
		x, _ = c.X509()
		s.read[c] = x
	}
	return x
}

// breaksOff reports whether a chain found no end, as opposed to a wrong one.
func breaksOff(err error) bool {
	var unknown x509.UnknownAuthorityError
	return errors.As(err, &unknown)
}

// fetchIssuers asks for the issuers of those certificates that none of the
// known ones has issued.
func (j *judgement) fetchIssuers(x *x509.Certificate, known []*x509.Certificate) []*x509.Certificate {
	var more []*x509.Certificate
	all := append([]*x509.Certificate{x}, known...)
	for _, c := range all {
		if bytes.Equal(c.RawIssuer, c.RawSubject) || len(c.IssuingCertificateURL) == 0 {
			continue
		}
		if slices.ContainsFunc(known, func(k *x509.Certificate) bool { return bytes.Equal(k.RawSubject, c.RawIssuer) }) {
			continue
		}
		issuers, err := j.opts.Issuers.Issuers(j.ctx, c)
		if err != nil {
			j.missing = fmt.Sprintf(", whose certificate cannot be fetched: %v", err)
		}
		for _, issuer := range issuers {
			fits := bytes.Equal(issuer.RawSubject, c.RawIssuer) && !slices.ContainsFunc(all, issuer.Equal)
			if fits && len(more) < maxFetched && len(known)+len(more) < maxIntermediates {
				more = append(more, issuer)
			}
		}
	}
	return more
}
