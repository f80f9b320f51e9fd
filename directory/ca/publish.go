package ca

// Where Handler answers.
const (
	PathRoot     = "/ca/root.cer"   // the root's certificate, DER
	PathIssuer   = "/ca/issuer.cer" // the issuing certificate, DER
	PathRootList = "/ca/root.crl"   // the authorities that the root has revoked (RFC 5280 section 5)
	PathCRL      = "/ca/crl"        // the certificates that the issuing authority has revoked
	PathOCSP     = "/ca/ocsp"       // RFC 6960 and RFC 5019
)
