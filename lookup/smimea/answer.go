package smimea

import (
	"errors"
	"fmt"
	"strings"

	"github.com/miekg/dns"
)

// An Answer is what a resolver is believed to have found out.
type Answer struct {
	// Secure: the records, or that there are none, are proved by DNSSEC. When it
	// is false the resolver has proved that the zone is not signed.
	Secure   bool
	Records  []Record // none with Secure: an authenticated denial
	Resolver string   // who answered
}

// Why a reply is not believed.
var (
	errContradiction = errors.New("the reply says that the name does not exist, and holds its records")
	errTooMany       = errors.New("the reply has too many SMIMEA records")
	errAliases       = errors.New("the reply has aliases (CNAME) that loop, branch or do not end")
	errNoProof       = errors.New("the reply says that there is no record, and lacks the proof (NSEC or NSEC3) that DNSSEC has of it")
	errCut           = errors.New("the reply is cut short, though it did not come in a single packet")
)

// An RcodeError is a reply that gives no answer: SERVFAIL, which is also how a
// resolver says that signatures do not verify, REFUSED, and all others but
// NOERROR and NXDOMAIN.
type RcodeError struct {
	Rcode int
	Why   string // the resolver's own explanation (RFC 8914); may be empty
}

// Error names the code and the explanation.
func (e *RcodeError) Error() string {
	name, ok := dns.RcodeToString[e.Rcode]
	if !ok {
		name = fmt.Sprintf("RCODE %d", e.Rcode)
	}
	if e.Why == "" && e.Rcode == dns.RcodeServerFailure {
		return "it answers SERVFAIL: the domain's servers fail, or its DNSSEC signatures do not verify"
	}
	return strings.TrimSuffix("it answers "+name+": "+e.Why, ": ")
}

const (
	maxAliases = 8
	maxWhy     = 200 // octets of somebody else's explanation
)

// interpret reads a whole reply to the question for the SMIMEA records of name.
// Secure is as the reply says; whether to believe that is for the caller.
func interpret(m *dns.Msg, name string, most int) (Answer, error) {
	if m.Truncated {
		return Answer{}, errCut
	}
	if m.Rcode != dns.RcodeSuccess && m.Rcode != dns.RcodeNameError {
		err := &RcodeError{m.Rcode, explanation(m)}
		if m.Rcode == dns.RcodeServerFailure {
			return Answer{}, domainError{err}
		}
		return Answer{}, err
	}
	owner, err := follow(m, name)
	if err != nil {
		return Answer{}, domainError{err}
	}
	a := Answer{Secure: m.AuthenticatedData}
	for _, rr := range m.Answer {
		s, ok := rr.(*dns.SMIMEA)
		if !ok || !at(rr, owner) {
			continue
		}
		if len(a.Records) == most {
			return Answer{}, domainError{errTooMany}
		}
		r, err := readRecord(s)
		if err != nil {
			return Answer{}, domainError{err}
		}
		a.Records = append(a.Records, r)
	}
	switch {
	case len(a.Records) > 0 && m.Rcode == dns.RcodeNameError:
		return Answer{}, domainError{errContradiction}
	case len(a.Records) == 0 && a.Secure && !denies(m):
		return Answer{}, errNoProof
	}
	return a, nil
}

// at reports a record of the Internet class that belongs to owner.
func at(rr dns.RR, owner string) bool {
	h := rr.Header()
	return h.Class == dns.ClassINET && strings.EqualFold(h.Name, owner)
}

// follow goes from name along the aliases in the reply, and gives the name at
// their end. A resolver puts them there in full, those of a DNAME too (RFC 6672
// section 3.1).
func follow(m *dns.Msg, name string) (string, error) {
	for range maxAliases + 1 {
		next, others := "", false
		for _, rr := range m.Answer {
			if !at(rr, name) {
				continue
			}
			alias, ok := rr.(*dns.CNAME)
			switch {
			case ok && next != "" && !strings.EqualFold(next, alias.Target):
				return "", errAliases
			case ok:
				next = alias.Target
			case rr.Header().Rrtype == dns.TypeSMIMEA:
				others = true
			}
		}
		switch {
		case next == "":
			return name, nil
		case others: // an alias has nothing beside it (RFC 2181 section 10.1)
			return "", errAliases
		}
		name = next
	}
	return "", errAliases
}

// denies looks for what a resolver sends along when it was asked for DNSSEC
// and has found that there is nothing (RFC 4035 section 3.1.3).
func denies(m *dns.Msg) bool {
	for _, rr := range m.Ns {
		switch rr.Header().Rrtype {
		case dns.TypeNSEC, dns.TypeNSEC3:
			return true
		}
	}
	return false
}

// explanation is the extended error of a reply (RFC 8914).
func explanation(m *dns.Msg) string {
	opt := m.IsEdns0()
	if opt == nil {
		return ""
	}
	for _, o := range opt.Option {
		ede, ok := o.(*dns.EDNS0_EDE)
		if !ok {
			continue
		}
		why := dns.ExtendedErrorCodeToString[ede.InfoCode]
		if why == "" {
			why = fmt.Sprintf("extended error %d", ede.InfoCode)
		}
		if text := ede.ExtraText; text != "" {
			why += fmt.Sprintf(" (%.*q)", maxWhy, text)
		}
		return why
	}
	return ""
}
