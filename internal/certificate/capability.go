package certificate

import "encoding/asn1"

// Capable reports whether the certificate declares the algorithm among its
// holder's S/MIME capabilities (RFC 4262).
func (c *Certificate) Capable(algorithm asn1.ObjectIdentifier) bool {
	for _, have := range c.Capabilities {
		if have.Equal(algorithm) {
			return true
		}
	}
	return false
}
