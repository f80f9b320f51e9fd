// Package revocation finds out whether certificates were withdrawn by the
// authorities that issued them: from certificate revocation lists (CRL, RFC
// 5280 section 5) and from OCSP responders (RFC 6960).
//
// Nothing here waits for a network unless the caller allows it. Lists and
// answers are fetched in the background, kept for as long as they say that
// they hold, and replaced before that time is over.
package revocation

import (
	"fmt"
	"time"
)

// A Status says what is known of a certificate.
type Status int

// The zero value is Unknown: what nobody has said anything about is not good.
const (
	Unknown Status = iota
	Good           // its issuer says that it was not withdrawn
	Revoked
)

// String is the word that `sealpost lookup` shows.
func (s Status) String() string {
	switch s {
	case Good:
		return "good"
	case Revoked:
		return "revoked"
	}
	return "unknown"
}

// A Verdict is what is known of a certificate, or of all certificates of a
// chain. The zero value is Unknown.
type Verdict struct {
	Status Status
	At     time.Time // when it was withdrawn; zero unless Revoked
	Until  time.Time // when a newer word is due; zero when Unknown
	Where  string    // the list or responder that said it, or that could not be asked
	Why    string    // for people: the reason of the withdrawal, or why nothing is known
}

// reasons of RFC 5280 section 5.3.1, in words.
var reasons = map[int]string{
	0:  "no reason given",
	1:  "its key is in other hands (keyCompromise)",
	2:  "its issuer's key is in other hands (cACompromise)",
	3:  "its owner has changed name or place (affiliationChanged)",
	4:  "another certificate has taken its place (superseded)",
	5:  "it is no longer needed (cessationOfOperation)",
	6:  "it is suspended (certificateHold)",
	9:  "what it certifies is no longer true (privilegeWithdrawn)",
	10: "an attribute authority's key is in other hands (aACompromise)",
}

func reasonInWords(code int) string {
	if s, ok := reasons[code]; ok {
		return s
	}
	return fmt.Sprintf("reason %d", code)
}
