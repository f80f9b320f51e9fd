package lookup

import (
	"bytes"
	"encoding/asn1"
	"slices"

	"sealpost/internal/certificate"
)

// Capable reports whether the holder of the certificate is known to open what
// is encrypted with an algorithm. What his mail program said in a signed
// message (Candidate.Capabilities) counts before what stands in the certificate
// (RFC 4262), which was written when that was issued: where the former is
// known, the latter is not asked. One key may stand in several certificates,
// and have several such lists; then each must have the algorithm.
func (a Answer) Capable(cert *certificate.Certificate, algorithm asn1.ObjectIdentifier) bool {
	learned := false
	for i := range a.Candidates {
		c := &a.Candidates[i]
		if !c.Usable || len(c.Capabilities) == 0 || !bytes.Equal(c.Cert.RawPublicKey, cert.RawPublicKey) {
			continue
		}
		if !slices.ContainsFunc(c.Capabilities, algorithm.Equal) {
			return false
		}
		learned = true
	}
	return learned || cert.Capable(algorithm)
}
