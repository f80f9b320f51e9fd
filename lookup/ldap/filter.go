package ldap

import (
	"errors"
	"fmt"
	"strings"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"

	"sealpost/internal/address"
)

// A Filter makes the search filter (RFC 4515) for an address.
type Filter struct{ template string }

// placeholders stand for parts of the address: the whole of it in its form for
// looking up, its local part without quotes, its domain in A-labels.
var placeholders = []string{"{address}", "{local}", "{domain}"}

// ParseFilter reads a filter in which {address}, {local} and {domain} may
// stand inside of values, as in (|(mail={address})(uid={local})). One of
// {address} and {local} must be there. The errors are ErrFilter.
func ParseFilter(template string) (Filter, error) {
	f := Filter{template}
	if len(template) > 4096 {
		return Filter{}, fmt.Errorf("%w: it is too long", ErrFilter)
	}
	if !strings.Contains(template, "{address}") && !strings.Contains(template, "{local}") {
		return Filter{}, fmt.Errorf("%w: it names nobody: write {address} where the address belongs, as in (mail={address})", ErrFilter)
	}
	const mark = "7placeholder7"
	if strings.Contains(template, mark) {
		return Filter{}, ErrFilter
	}
	count := 0
	for _, p := range placeholders {
		count += strings.Count(template, p)
	}
	filled := f.fill(mark, mark, mark)
	if strings.ContainsAny(filled, "{}") {
		return Filter{}, fmt.Errorf("%w: it has braces other than {address}, {local} and {domain}", ErrFilter)
	}
	packet, err := ldap.CompileFilter(filled)
	if err != nil {
		var e *ldap.Error
		if errors.As(err, &e) {
			err = e.Err
		}
		return Filter{}, fmt.Errorf("%w: %s", ErrFilter, strings.TrimPrefix(err.Error(), "ldap: "))
	}
	if countInValues(packet, mark) != count {
		return Filter{}, fmt.Errorf("%w: {address}, {local} and {domain} may stand in values only, behind a =", ErrFilter)
	}
	return f, nil
}

// countInValues counts mark in the values that entries are compared with.
func countInValues(p *ber.Packet, mark string) int {
	n := 0
	switch p.Tag {
	case ldap.FilterAnd, ldap.FilterOr, ldap.FilterNot:
		for _, c := range p.Children {
			n += countInValues(c, mark)
		}
	case ldap.FilterSubstrings:
		if len(p.Children) == 2 {
			for _, c := range p.Children[1].Children {
				n += strings.Count(c.Data.String(), mark)
			}
		}
	case ldap.FilterExtensibleMatch:
		for _, c := range p.Children {
			if c.Tag == ldap.MatchingRuleAssertionMatchValue {
				n += strings.Count(c.Data.String(), mark)
			}
		}
	case ldap.FilterEqualityMatch, ldap.FilterGreaterOrEqual, ldap.FilterLessOrEqual, ldap.FilterApproxMatch:
		if len(p.Children) == 2 {
			n = strings.Count(p.Children[1].Data.String(), mark)
		}
	}
	return n
}

// For gives the filter for an address. Whatever characters the address has,
// they only ever become part of a value.
func (f Filter) For(addr address.Address) string {
	return f.fill(ldap.EscapeFilter(addr.Key()), ldap.EscapeFilter(addr.Local()), ldap.EscapeFilter(addr.ASCIIDomain()))
}

// fill replaces in one pass: what comes in is not looked at again.
func (f Filter) fill(addr, local, domain string) string {
	return strings.NewReplacer("{address}", addr, "{local}", local, "{domain}", domain).Replace(f.template)
}
