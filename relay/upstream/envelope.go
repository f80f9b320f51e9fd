package upstream

import (
	"strings"

	"sealpost/internal/address"
	"sealpost/internal/reason"
	"sealpost/relay/reply"
)

// An Envelope is what goes before a message's content: MAIL and RCPT, and who
// handed the message to us. Parameters stand in it decoded; they are encoded,
// and left out where a server does not know them, on the way out.
type Envelope struct {
	From address.Address // the zero value is the null sender
	To   []Rcpt

	// Body is the BODY= that a copy which leaves as it came needs: 7BIT (or
	// empty), 8BITMIME or BINARYMIME. A sealed copy needs none of them.
	Body       string
	UTF8       bool // SMTPUTF8 was asked for (RFC 6531)
	RequireTLS bool // RFC 8689
	Ret        string
	EnvID      string // RFC 3461
	XForward   Attributes
}

// A Rcpt is one recipient. Notify and ORcpt are those of RFC 3461: ORcpt is
// "rfc822;anna@example.org" without xtext; one of the type utf-8 has characters
// beyond ASCII as \x{HEX} (RFC 6533 section 3).
type Rcpt struct {
	Address address.Address
	Notify  []string
	ORcpt   string
}

// needsUTF8 reports whether the message cannot go to a server without SMTPUTF8.
func (e *Envelope) needsUTF8() bool {
	if e.UTF8 || e.From.NeedsUTF8() {
		return true
	}
	for i := range e.To {
		if e.To[i].Address.NeedsUTF8() {
			return true
		}
	}
	return false
}

// wantsDSN reports whether any parameter of RFC 3461 was given.
func (e *Envelope) wantsDSN() bool {
	if e.Ret != "" || e.EnvID != "" {
		return true
	}
	for i := range e.To {
		if len(e.To[i].Notify) > 0 || e.To[i].ORcpt != "" {
			return true
		}
	}
	return false
}

// check refuses what must not stand in a command line. Intake has refused it
// already; what reaches the wire is decided here.
func (e *Envelope) check() *reply.Error {
	if len(e.To) == 0 {
		return reply.Errorf(554, reply.Enhanced{5, 5, 1}, reason.ProtocolError, "No valid recipients")
	}
	if e.Ret != "" && !oneOf(e.Ret, "FULL", "HDRS") {
		return badParameter("RET")
	}
	if e.Body != "" && !oneOf(e.Body, "7BIT", "8BITMIME", "BINARYMIME") {
		return badParameter("BODY")
	}
	for i := range e.To {
		r := &e.To[i]
		if r.Address.IsNull() {
			return reply.Errorf(501, reply.Enhanced{5, 1, 3}, reason.AddressInvalid, "A recipient has no address")
		}
		for _, n := range r.Notify {
			if !oneOf(n, "NEVER", "SUCCESS", "FAILURE", "DELAY") {
				return badParameter("NOTIFY")
			}
		}
		if kind, _, ok := strings.Cut(r.ORcpt, ";"); r.ORcpt != "" && (!ok || !isAtom(kind)) {
			return badParameter("ORCPT")
		}
	}
	return nil
}

func badParameter(name string) *reply.Error {
	return reply.Errorf(501, reply.Enhanced{5, 5, 4}, reason.ProtocolError, "Parameter %s is not valid", name)
}

func oneOf(s string, words ...string) bool {
	for _, w := range words {
		if strings.EqualFold(s, w) {
			return true
		}
	}
	return false
}

// isAtom reports letters, digits and hyphens only, as in an address type
// (RFC 3461 section 4.2).
func isAtom(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-') {
			return false
		}
	}
	return s != ""
}
