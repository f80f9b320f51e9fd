// Package policy decides what happens to each recipient of a message: sealed,
// passed in the clear, or refused. Rules are tried in order; the first that
// matches decides.
package policy

import (
	"net/netip"
	"strings"

	"sealpost/internal/address"
)

// Encrypt says whether a rule wants its messages sealed.
type Encrypt int

// The zero value is Always: what is not said is encrypted.
const (
	Always Encrypt = iota
	Never
)

// NoKey says what becomes of a recipient without a usable certificate.
type NoKey int

// The zero value is Reject.
const (
	Reject    NoKey = iota
	Plaintext       // goes on in the clear
	Hold            // waits, sealed at rest, until there is a certificate
	Provision       // the directory makes a key
)

// A HeaderMatch wants one header field of the message to match a glob.
type HeaderMatch struct {
	Name  string
	Value string // glob over the unfolded value, case-insensitive
}

// A Rule matches recipients and says what is done with them. Empty conditions
// match everything.
type Rule struct {
	Name      string
	Sender    string // glob over local@domain; "" as pattern matches all, "<>" the null sender
	Recipient string // glob
	Listener  string // address of the listener, as configured
	Client    []netip.Prefix
	Header    *HeaderMatch
	Encrypt   Encrypt
	NoKey     NoKey
}

// A Request is what is known of a recipient at RCPT.
type Request struct {
	Sender    address.Address
	Recipient address.Address
	Listener  string
	Client    netip.Addr
}

// Header gives the values of a header field; it is asked after DATA only.
type Header interface {
	Values(name string) []string
}

// Policy is an ordered list of rules.
type Policy struct{ rules []Rule }

// New makes a policy. The rules are copied.
func New(rules []Rule) *Policy {
	return &Policy{rules: append([]Rule(nil), rules...)}
}

// Rules gives a copy of the rules, in order.
func (p *Policy) Rules() []Rule { return append([]Rule(nil), p.rules...) }

// Candidates are the rules that may decide the request once the header is
// known: every rule with a header condition whose other conditions match, up
// to and including the first rule without one. Where the last candidate has a
// header condition too, no rule may match in the end.
func (p *Policy) Candidates(q Request) []*Rule {
	var out []*Rule
	for i := range p.rules {
		r := &p.rules[i]
		if !r.matches(q) {
			continue
		}
		out = append(out, r)
		if r.Header == nil {
			break
		}
	}
	return out
}

// Provisions names the rules that have a key made for the recipient, if one of
// them decides: that depends on who sends.
func (p *Policy) Provisions(recipient address.Address) []string {
	var out []string
	for i := range p.rules {
		r := &p.rules[i]
		if !matchAddress(r.Recipient, recipient) {
			continue
		}
		if r.Encrypt == Always && r.NoKey == Provision {
			out = append(out, r.label())
		}
		if r.Sender == "" && r.Listener == "" && len(r.Client) == 0 && r.Header == nil {
			break
		}
	}
	return out
}

// MatchesHeader reports whether the rule's header condition, if it has one,
// holds.
func (r *Rule) MatchesHeader(h Header) bool {
	return r.Header == nil || r.Header.matches(h)
}

func (r *Rule) matches(q Request) bool {
	return matchAddress(r.Sender, q.Sender) &&
		matchAddress(r.Recipient, q.Recipient) &&
		(r.Listener == "" || r.Listener == q.Listener) &&
		(len(r.Client) == 0 || contains(r.Client, q.Client))
}

func (m *HeaderMatch) matches(h Header) bool {
	for _, v := range h.Values(m.Name) {
		if Glob(strings.ToLower(m.Value), strings.ToLower(strings.TrimSpace(v))) {
			return true
		}
	}
	return false
}

// matchAddress tries the address in its two spellings, U-labels and A-labels,
// whichever it came in, both in lower case: a rule is meant for people, not for
// octets.
func matchAddress(pattern string, a address.Address) bool {
	if pattern == "" || pattern == "*" {
		return true
	}
	if a.IsNull() {
		return pattern == "<>"
	}
	pattern = strings.ToLower(pattern)
	ascii := strings.ToLower(a.Key())
	if Glob(pattern, ascii) {
		return true
	}
	local := strings.TrimSuffix(ascii, "@"+strings.ToLower(a.ASCIIDomain()))
	return Glob(pattern, local+"@"+a.UnicodeDomain())
}

func contains(networks []netip.Prefix, a netip.Addr) bool {
	a = a.Unmap()
	for _, n := range networks {
		if n.Contains(a) {
			return true
		}
	}
	return false
}

// Glob matches s against a pattern in which * stands for any run of
// characters and ? for one byte. It takes time linear in len(pattern)*len(s).
func Glob(pattern, s string) bool {
	p, i, star, mark := 0, 0, -1, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			p++
			i++
		case star >= 0:
			mark++
			p, i = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
