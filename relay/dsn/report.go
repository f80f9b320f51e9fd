package dsn

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"sealpost/internal/address"
	"sealpost/internal/reason"
	"sealpost/relay/reply"
)

// ErrReport says that a Report lacks what every notification must have, or
// reports to the null sender, who is told nothing (RFC 5321 section 6.1).
var ErrReport = errors.New("dsn: report cannot be written")

// maxID keeps the boundary, which holds the id, below the 70 characters of
// RFC 2046 section 5.1.1.
const maxID = 60

// An Action is what the relay did with a recipient (RFC 3464 section 2.3.3).
// "delivered" and "expanded" are not among them: Sealpost has no mailboxes and
// no lists.
type Action string

// The actions.
const (
	Failed  Action = "failed"  // given up, nothing more will come
	Delayed Action = "delayed" // still tried
	Relayed Action = "relayed" // passed to a server that does not know DSN
)

// A Report is what a notification says about one message. What came from
// outside may hold anything: it is cleaned and bounded by Compose.
type Report struct {
	Hostname string          // our name, a domain: Reporting-MTA
	ID       string          // of the notification itself: letters, digits, ".", "_" and "-", at most 60
	Now      time.Time       // its Date
	To       address.Address // the sender of the message

	QueueID      string     // under which the client was told 250, of the same characters as ID; "" leaves it out
	EnvID        string     // ENVID, decoded (RFC 3461 section 4.4); "" when none was given
	Arrived      time.Time  // zero leaves it out
	ReceivedFrom string     // what the client said in EHLO; "" leaves it out
	ClientAddr   netip.Addr // of that client; stands beside ReceivedFrom

	// UTF8 says that the message came with SMTPUTF8, so that its sender can be
	// sent what RFC 6533 adds.
	UTF8 bool
	// Header is the header of the message as it stands outside the sealed
	// copy. A closed list of its fields is returned; see the package comment.
	Header []byte

	Recipients []Recipient
}

// A Recipient is what happened to the message for one address.
type Recipient struct {
	Address address.Address
	ORcpt   string // ORCPT, decoded: "rfc822;anna@example.org"; "" when none was given
	Action  Action

	// Status is the status code; when it is zero, or of a class that does not
	// go with Action, Diagnostic's is taken, or else the class alone.
	Status     reply.Enhanced
	RemoteMTA  string      // the server that gave Diagnostic, with or without port; "" when it is our own word
	Diagnostic reply.Reply // Code 0: none

	LastAttempt    time.Time // zero: there was none
	WillRetryUntil time.Time // for Delayed only
	Reason         reason.Token
}

// Wanted reports whether a sender who gave NOTIFY=notify for a recipient (RFC
// 3461 section 4.1) is told of an action. Without NOTIFY, failures are told,
// and delays, which that section leaves to the server.
func Wanted(notify []string, a Action) bool {
	if len(notify) == 0 {
		return a == Failed || a == Delayed
	}
	word := map[Action]string{Failed: "FAILURE", Delayed: "DELAY", Relayed: "SUCCESS"}[a]
	return word != "" && slices.ContainsFunc(notify, func(n string) bool { return strings.EqualFold(n, word) })
}

// SMTPUTF8 reports whether what Compose makes of r holds characters beyond
// ASCII, so that it has to be sent with SMTPUTF8 and BODY=8BITMIME: an address
// in it needs that, and the sender is known to understand.
func (r Report) SMTPUTF8() bool {
	if r.To.NeedsUTF8() {
		return true // it cannot be addressed in any other way
	}
	return r.UTF8 && slices.ContainsFunc(r.Recipients, func(p Recipient) bool { return p.Address.NeedsUTF8() })
}

// check finds what the caller must not do; host is Hostname in ASCII.
func (r Report) check() (host string, err error) {
	host, err = address.Domain(r.Hostname)
	switch {
	case err != nil:
		return "", fmt.Errorf("%w: hostname: %w", ErrReport, err)
	case r.ID == "" || len(r.ID) > maxID || strings.ContainsFunc(r.ID, notInID):
		return "", fmt.Errorf("%w: id %q", ErrReport, r.ID)
	case strings.ContainsFunc(r.QueueID, notInID):
		return "", fmt.Errorf("%w: queue id %q", ErrReport, r.QueueID)
	case strings.HasPrefix(r.ID, ".") || strings.HasSuffix(r.ID, ".") || strings.Contains(r.ID, ".."):
		return "", fmt.Errorf("%w: id %q is no dot-atom", ErrReport, r.ID)
	case r.To.IsNull():
		return "", fmt.Errorf("%w: the message has the null sender", ErrReport)
	case len(r.Recipients) == 0:
		return "", fmt.Errorf("%w: no recipients", ErrReport)
	}
	for _, p := range r.Recipients {
		if p.Address.IsNull() || p.Action != Failed && p.Action != Delayed && p.Action != Relayed {
			return "", fmt.Errorf("%w: recipient %q, action %q", ErrReport, p.Address, p.Action)
		}
	}
	return host, nil
}

func notInID(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-", r))
}
