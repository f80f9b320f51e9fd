package revocation

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// A scope is what a list speaks of (issuingDistributionPoint, RFC 5280 section
// 5.2.5). The zero value with all reasons is a list without that extension.
type scope struct {
	names                    [][]byte // DER of the GeneralNames of its distribution point
	relative                 bool     // its distribution point is relative to the issuer's name
	users, authorities, attr bool     // contains only certificates of this kind
	indirect                 bool     // names certificates of other issuers too
	reasons                  reasonMask
}

var errScope = errors.New("its issuing distribution point cannot be read")

var (
	tagOnlyUser        = cbasn1.Tag(1).ContextSpecific()
	tagOnlyAuthorities = cbasn1.Tag(2).ContextSpecific()
	tagSomeReasons     = cbasn1.Tag(3).ContextSpecific()
	tagIndirect        = cbasn1.Tag(4).ContextSpecific()
	tagOnlyAttributes  = cbasn1.Tag(5).ContextSpecific()
)

func readScope(der cryptobyte.String) (scope, error) {
	s := scope{reasons: allReasons}
	var body, name, reasons cryptobyte.String
	var hasName, hasReasons bool
	ok := der.ReadASN1(&body, cbasn1.SEQUENCE) && der.Empty() &&
		body.ReadOptionalASN1(&name, &hasName, tagName) &&
		readFlag(&body, tagOnlyUser, &s.users) &&
		readFlag(&body, tagOnlyAuthorities, &s.authorities) &&
		body.ReadOptionalASN1(&reasons, &hasReasons, tagSomeReasons) &&
		readFlag(&body, tagIndirect, &s.indirect) &&
		readFlag(&body, tagOnlyAttributes, &s.attr) && body.Empty()
	if ok && hasReasons {
		s.reasons, ok = readReasons(reasons)
	}
	if !ok {
		return scope{}, errScope
	}
	if hasName {
		var full cryptobyte.String
		if name.ReadASN1(&full, tagName) {
			s.names = appendNames(nil, full)
		} else {
			s.relative = true
		}
	}
	return s, nil
}

// readFlag reads an implicitly tagged BOOLEAN DEFAULT FALSE.
func readFlag(s *cryptobyte.String, tag cbasn1.Tag, out *bool) bool {
	var content cryptobyte.String
	var present bool
	if !s.ReadOptionalASN1(&content, &present, tag) {
		return false
	}
	*out = present && len(content) == 1 && content[0] != 0
	return !present || len(content) == 1
}

// covers says why a list does not speak of a certificate that found it by a
// distribution point (RFC 5280 section 6.3.3 (b)); nil when it does.
func (s scope) covers(c *x509.Certificate, p point) error {
	switch {
	case s.attr, s.users && c.IsCA, s.authorities && !c.IsCA:
		return errors.New("it is about certificates of another kind")
	case s.relative:
		return errors.New("its distribution point has a relative name")
	case len(s.names) == 0:
		return nil
	}
	shared := func(name []byte) bool {
		return slices.ContainsFunc(p.names, func(n []byte) bool { return bytes.Equal(n, name) })
	}
	if !slices.ContainsFunc(s.names, shared) {
		return fmt.Errorf("it is for another distribution point")
	}
	return nil
}
