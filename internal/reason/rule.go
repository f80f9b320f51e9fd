package reason

// Rule names what a refusal of a certificate rests on: the section of the
// standard, or the key of the configuration where the operator decides. It is
// empty for what is no refusal of a certificate.
func Rule(t Token) string {
	return map[Token]string{
		CertificateExpired:     "RFC 5280 section 4.1.2.5",
		CertificateNotYetValid: "RFC 5280 section 4.1.2.5",
		CertificateAddress:     "RFC 8550 section 3, RFC 9598",
		CertificateUsage:       "RFC 8550 sections 4.4.2 and 4.4.4",
		CertificateUntrusted:   "RFC 5280 section 6.1, RFC 8550 section 4.2",
		CertificateWeakKey:     "RFC 8551 section 4.4, trust.min_rsa_bits",
		CertificateKeyKind:     "RFC 8551 section 2.3",
		CertificateUnreadable:  "RFC 5280 section 4.1",
		CertificateUnverified:  "RFC 5280 section 4.2, RFC 8550 section 4.3",
		CertificateCA:          "RFC 5280 section 4.2.1.9, RFC 8550 section 4.4.1",
		CertificateRevoked:     "RFC 5280 section 6.3, RFC 6960",
		RevocationUnknown:      "RFC 8550 section 4.1, trust.revocation",
		CertificateKeyChanged:  "trust.on_key_change",
		CertificateSuperseded:  "trust.known_keys",
		CertificateNotPinned:   "trust.pins",
	}[t]
}
