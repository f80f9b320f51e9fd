package lookup

import (
	"strings"

	"sealpost/internal/address"
	"sealpost/internal/certificate"
	"sealpost/internal/reason"
)

// naming is how a certificate names an address.
type naming int

const (
	notAtAll    naming = iota
	wholeDomain        // it is for every mailbox of the domain
	withoutTag         // it is for the address without its tag, in whatever case
	subjectOnly        // in whatever case, in its subject, and nowhere else
	otherCase          // but for upper and lower case
	exact
)

// names compares with every address in the subject alternative name (RFC 8550
// section 3, RFC 9598 section 5): the domain in its one form, so that both
// spellings of an IDN are equal, and the local part exactly, or but for case.
func names(c *certificate.Certificate, addr address.Address) naming {
	how := among(c.Addresses, addr)
	if plain, ok := addr.WithoutTag(); ok && how < withoutTag && among(addressesOf(c), plain) >= otherCase {
		return withoutTag
	}
	if how == notAtAll && len(c.Addresses) == 0 && among(c.SubjectAddresses, addr) >= otherCase {
		return subjectOnly
	}
	return how
}

func among(addresses []string, addr address.Address) naming {
	best := notAtAll
	for _, s := range addresses {
		if !mayName(s, addr) {
			continue
		}
		if forDomain(s, addr) {
			best = max(best, wholeDomain)
		}
		a, err := address.Parse(s)
		if err != nil {
			continue
		}
		switch same, exactly := addr.SameBox(a); {
		case exactly:
			return exact
		case same:
			best = otherCase
		}
	}
	return best
}

// mayName passes over at once, in certificates with thousands of names, what
// stands under another plain domain.
func mayName(name string, addr address.Address) bool {
	domain := name[strings.LastIndexByte(name, '@')+1:]
	for i := range len(domain) {
		if domain[i] >= 0x80 {
			return true
		}
	}
	return strings.EqualFold(domain, addr.ASCIIDomain()) || addr.IsLiteral()
}

// forDomain reports a name by which a certificate is for every mailbox of the
// address's domain: that of its gateway, or a domain without any local part.
func forDomain(name string, addr address.Address) bool {
	local, domain, found := strings.Cut(name, "@")
	if !found {
		local, domain = "", name
	}
	if local == "" || local == "*" {
		ascii, err := address.Domain(domain)
		return err == nil && ascii == addr.ASCIIDomain() && !addr.IsLiteral()
	}
	a, err := address.Parse(name)
	return err == nil && a.IsDomainAuthority() && a.ASCIIDomain() == addr.ASCIIDomain()
}

// mailboxesOf gives the addresses under which a certificate may be looked for.
// Whether it counts for them is another question.
func mailboxesOf(c *certificate.Certificate) []address.Address {
	var all []address.Address
	for _, s := range addressesOf(c) {
		if a, err := address.Parse(s); err == nil {
			all = append(all, a)
		}
		// A domain without a local part is looked for under its authority.
		domain := s[strings.LastIndexByte(s, '@')+1:]
		if a, err := address.Parse("any@" + domain); err == nil && forDomain(s, a) {
			if authority, ok := a.DomainAuthority(); ok {
				all = append(all, authority)
			}
		}
	}
	return all
}

// naming is names under what the operator allows.
func (j *judgement) naming(c *certificate.Certificate) naming {
	how := names(c, j.addr)
	switch {
	case how == subjectOnly && j.opts.SubjectAddress:
		return among(c.SubjectAddresses, j.addr)
	case (how == wholeDomain || how == otherCase) && j.opts.WholeDomain && j.addr.IsDomainAuthority():
		return exact
	}
	return how
}

func (j *judgement) checkAddress(c *certificate.Certificate) *refusal {
	const token = reason.CertificateAddress
	how := j.naming(c)
	switch {
	case how == exact, how == otherCase && j.folded:
		return nil
	case how == otherCase:
		return refuse(token, "is for %s, which differs from %s in upper and lower case", list(addressesOf(c)), j.addr)
	case how == subjectOnly:
		return refuse(token, "names %s in its subject only; what counts is the subject alternative name (trust.subject_address)", list(c.SubjectAddresses))
	case how == withoutTag:
		return refuse(token, "is for %s, which is %s without its tag (trust.tag_fallback)", list(addressesOf(c)), j.addr)
	case how == wholeDomain && j.opts.WholeDomain:
		return refuse(token, "is for the whole domain, and so used only where no certificate is for %s", j.addr)
	case how == wholeDomain:
		return refuse(token, "is for the whole domain (%s), which is not allowed (trust.allow_domain_certificate)", list(c.Addresses))
	case len(addressesOf(c)) > 0:
		return refuse(token, "is for %s, not for %s", list(addressesOf(c)), j.addr)
	}
	return refuse(token, "names no mail address at all")
}

// addressesOf are those that a certificate is for, and where it names none,
// those of its subject.
func addressesOf(c *certificate.Certificate) []string {
	if len(c.Addresses) > 0 {
		return c.Addresses
	}
	return c.SubjectAddresses
}
