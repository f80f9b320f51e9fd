// Package lookup answers one question: which certificates may a message for
// this address be sealed to, and who says so?
//
// A Source is asked for an address. NewFiles, NewHTTP and NewSMIMEA find
// certificates, NewTrusted judges what one of them found, NewChain asks several, in order or at
// once, NewCache remembers. They are put together from the inside out:
//
//	fallback( cache( chain( trusted(files), trusted(http) ) ) )
//
// An answer has one of three outcomes, and the difference between two of them
// is what the package is about: None is said with authority, Unavailable is
// everything else. No failure of any kind ever becomes None.
package lookup

import (
	"context"
	"encoding/asn1"
	"time"

	"sealpost/internal/address"
	"sealpost/internal/certificate"
	"sealpost/internal/reason"
	"sealpost/lookup/revocation"
)

// An Outcome says how a lookup ended.
type Outcome int

// The outcomes. The zero value is Unavailable: an Answer that nobody filled in
// is no answer.
const (
	Unavailable Outcome = iota // it is not known whether there is a usable certificate; try again later
	None                       // every source that was asked said that there is none
	Found                      // at least one usable certificate
)

// String is the outcome as logs and --json spell it.
func (o Outcome) String() string {
	switch o {
	case None:
		return "none"
	case Found:
		return "found"
	}
	return "unavailable"
}

// A Vouch says who vouches for a source's certificates.
type Vouch int

// The zero value is PKI: a source is not believed unless that is asked for.
const (
	PKI    Vouch = iota // a chain to a trusted root
	Itself              // the source: the operator's own files, an authenticated company directory
)

// String is the word of the configuration.
func (v Vouch) String() string {
	if v == Itself {
		return "source"
	}
	return "pki"
}

// A Source knows certificates. Lookup must return soon after ctx has ended,
// and may be called by many goroutines at once.
//
// A source that only finds certificates says Found with candidates that are
// not judged yet: none of them is Usable until NewTrusted has seen them.
type Source interface {
	Lookup(ctx context.Context, addr address.Address) Answer
}

// A Candidate is a certificate that a source has for an address, and what was
// thought of it.
type Candidate struct {
	Cert   *certificate.Certificate // never nil
	Source string                   // name of the source
	Where  string                   // where the source has it from: a file, a URL
	// Capabilities are what a mail program of the holder said that it can open,
	// in order of preference, where the source knows that; see Answer.Capable.
	Capabilities []asn1.ObjectIdentifier
	// NeedsPKI asks for a chain to a trusted root even where the source vouches
	// itself: it knows that its word alone is not enough (SMIMEA usage 1).
	NeedsPKI bool
	Vouch    Vouch    // who vouches for it: set by NewTrusted
	Chain    []string // the subjects of its issuers, a trusted root last, where there is a chain to one
	Pinned   bool     // the operator has named this very certificate for the address
	Usable   bool
	Reason   reason.Token // why not, when not Usable
	Why      string       // the same in words, as the end of a sentence that begins with the certificate
	Until    time.Time    // when Usable: the verdict ends with the first certificate of its chain to expire

	Revocation revocation.Verdict // what is known of its chain, where that was asked
}

// Asked is what one source answered, for people.
type Asked struct {
	Source  string
	Outcome Outcome
	Took    time.Duration
	Err     error           // why it was Unavailable, or what part of its answer could not be read
	Notes   []string        // what it has that is no certificate to seal to
	Instead address.Address // for which it was asked, when not for the address itself: see NewFallback
}

// An Answer is the result of a lookup. Its slices are shared between callers
// and must not be changed.
type Answer struct {
	Outcome    Outcome
	Candidates []Candidate     // usable and refused ones, also beside None and Unavailable
	Instead    address.Address // when Found: whose certificates these are, when not the address's own; see NewFallback
	Source     string          // name of the source that decided, the first one when several found; empty where none did
	Err        error           // why Unavailable or Stale; with Found or None, what could not be read beside it
	Partial    bool            // Found, but a source that was asked was unavailable, and may know more
	Notes      []string        // for people: what one source has that is no certificate to seal to, and puts nothing in doubt
	Reason     reason.Token    // why not Found; the nearest to being usable, when several were refused
	Stale      bool            // from the cache, past its time, because Err kept a fresh one away
	At         time.Time       // when it was obtained from the sources; set by NewCache
	Took       time.Duration   // how long the sources took
	Asked      []Asked         // each source that was asked, in order
}

// failed is the answer Unavailable.
func failed(token reason.Token, err error) Answer {
	return Answer{Outcome: Unavailable, Reason: token, Err: err}
}

// none is the answer None of a source that has nothing at all.
func none() Answer { return Answer{Outcome: None, Reason: reason.NoCertificate} }
