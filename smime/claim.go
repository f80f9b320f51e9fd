package smime

import (
	"mime"
	"strings"
)

// A Claim is what a header says about the encryption of its body. That it says
// so proves nothing; see [Proof].
type Claim int

// The claims. Signed mail, inline PGP and everything that cannot be read for
// certain is None: sealing once more does no harm, sending in the clear does.
const (
	None           Claim = iota
	EnvelopedSMIME       // application/pkcs7-mime, enveloped (RFC 8551 section 3.2)
	PGPMIME              // multipart/encrypted with OpenPGP (RFC 3156 section 4)
)

// String names the claim for logs.
func (c Claim) String() string {
	switch c {
	case EnvelopedSMIME:
		return "smime"
	case PGPMIME:
		return "pgp-mime"
	}
	return "none"
}

// Claims tells what a header says. An application/pkcs7-mime without
// smime-type may be anything, so that it claims to be enveloped until its body
// is seen.
func Claims(h *Header) Claim {
	kind, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil {
		return None
	}
	switch kind {
	case "application/pkcs7-mime", "application/x-pkcs7-mime":
		switch strings.ToLower(params["smime-type"]) {
		case "", "enveloped-data", "authenveloped-data":
			return EnvelopedSMIME
		}
	case "multipart/encrypted":
		if strings.EqualFold(params["protocol"], "application/pgp-encrypted") && params["boundary"] != "" {
			return PGPMIME
		}
	}
	return None
}

// transferEncoding gives the Content-Transfer-Encoding in lower case; 7bit
// without one (RFC 2045 section 6.1).
func transferEncoding(h *Header) string {
	e := strings.ToLower(h.Get("Content-Transfer-Encoding"))
	if e == "" {
		return "7bit"
	}
	return e
}

// isIdentity tells a transfer encoding that changes nothing.
func isIdentity(encoding string) bool {
	return isOneOf(encoding, "7bit", "8bit", "binary")
}
