package harvest

import (
	"time"

	"sealpost/internal/address"
	"sealpost/internal/certificate"
	"sealpost/internal/reason"
)

// Learned is what one signed message taught.
type Learned struct {
	Address      address.Address            // of the From field, which Certificate names
	Certificate  *certificate.Certificate   // to encrypt to
	Chain        []*certificate.Certificate // its issuers as far as the message holds them, the nearest first
	Capabilities []string                   // SMIMECapabilities of the signature: object identifiers with dots, best first
	MessageID    string                     // with its angle brackets; empty when there is none that is worth keeping
	Signer       string                     // subject of the certificate that signed, for people
	Verdict      string                     // one sentence about why this was believed, for people
	SigningTime  time.Time                  // as signed; what is older than what is known must not replace it
}

// A Refusal says why nothing was learned. It never holds content of the message.
type Refusal struct {
	Reason reason.Token
	Why    string // a sentence for the sender
	Err    error  // cause for the log; may be nil
}

// Error is the sentence and the token.
func (r *Refusal) Error() string { return r.Why + " [" + string(r.Reason) + "]" }

// Unwrap gives the cause.
func (r *Refusal) Unwrap() error { return r.Err }
