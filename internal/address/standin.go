package address

import "strings"

// WithoutTag is the address without what stands behind a "+" in its local part
// (RFC 5233 calls it the detail, and leaves the character to the server). ok is
// false for an address that has none.
func (a Address) WithoutTag() (plain Address, ok bool) {
	local, _, ok := strings.Cut(a.local, "+")
	if !ok || local == "" {
		return Address{}, false
	}
	return a.with(local)
}

const domainAuthority = "domain-confidentiality-authority"

// DomainAuthority is the address under which RFC 3183 section 4 has the gateway of
// a domain hold a key for all of its mailboxes. ok is false where there is no
// domain.
func (a Address) DomainAuthority() (authority Address, ok bool) {
	if a.IsNull() || a.literal {
		return Address{}, false
	}
	return a.with(domainAuthority)
}

// IsDomainAuthority reports the address that DomainAuthority gives, in whatever
// case.
func (a Address) IsDomainAuthority() bool {
	return !a.literal && strings.EqualFold(a.local, domainAuthority)
}

// with is the address with another local part.
func (a Address) with(local string) (Address, bool) {
	b, err := Parse(quoteLocal(local) + "@" + a.domain)
	return b, err == nil
}

// SameBox says whether two addresses name one mailbox (RFC 5321 section 2.4):
// exactly is false when they do only if its server does not distinguish upper
// and lower case in local parts. Accents may be written either way (see Key).
//
// Letters that merely fold to each other are no case of one another: ſ is not s.
func (a Address) SameBox(b Address) (same, exactly bool) {
	if a.ascii != b.ascii || a.literal != b.literal {
		return false, false
	}
	one, other := normal(a.local), normal(b.local)
	if one == other {
		return true, true
	}
	if !strings.EqualFold(one, other) {
		return false, false
	}
	one, other = strings.ToLower(one), strings.ToLower(other)
	return one == other, false
}
