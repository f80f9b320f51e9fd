// Package address reads mailbox addresses once, strictly, so that policy,
// lookup and upstream all see the same one.
package address

import (
	"errors"
	"net/netip"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// Errors of Parse. Each has a text that a client can be shown.
var (
	ErrSyntax  = errors.New("address is not a valid mailbox (RFC 5321 section 4.1.2)")
	ErrTooLong = errors.New("address is too long (RFC 5321 section 4.5.3.1)")
	ErrDomain  = errors.New("domain name is not valid")
	ErrRouting = errors.New("address carries a route of its own (%, ! or @ in the local part)")
)

// An Address is one RFC 5321 Mailbox (with RFC 6531 where it has characters
// beyond ASCII). The zero value is the null reverse-path, "<>". Values are
// comparable; two spellings of one mailbox have the same Key.
type Address struct {
	local   string // without quoting
	domain  string // as it was given: U-labels stay U-labels
	ascii   string // lower case, A-labels; for an address literal: the literal
	literal bool
}

// Parse reads local@domain, without angle brackets.
//
// Local parts that another server may read as a route (a percent hack, a bang
// path, a quoted "@") give ErrRouting: they could reach somebody else than the
// one whose certificate was looked up.
func Parse(s string) (Address, error) {
	if len(s) > 64*4+1+255 {
		return Address{}, ErrTooLong
	}
	if !utf8.ValidString(s) {
		return Address{}, ErrSyntax
	}
	local, rest, err := cutLocal(s)
	if err != nil {
		return Address{}, err
	}
	if len(local) > 64 && isASCII(local) || len(local) > 256 {
		return Address{}, ErrTooLong
	}
	if strings.ContainsAny(local, "%!@") {
		return Address{}, ErrRouting
	}
	a := Address{local: local, domain: rest}
	if strings.HasPrefix(rest, "[") {
		a.literal = true
		a.ascii, err = parseLiteral(rest)
	} else {
		a.ascii, err = Domain(rest)
	}
	if err != nil {
		return Address{}, err
	}
	return a, nil
}

// cutLocal takes the local part (unquoted) off the front of s, and the "@".
func cutLocal(s string) (local, domain string, err error) {
	if strings.HasPrefix(s, `"`) {
		var b strings.Builder
		for i := 1; i < len(s); i++ {
			switch c := s[i]; {
			case c == '"':
				if !strings.HasPrefix(s[i+1:], "@") || b.Len() == 0 {
					return "", "", ErrSyntax
				}
				return b.String(), s[i+2:], nil
			case c == '\\':
				i++
				if i == len(s) || s[i] < ' ' || s[i] > '~' {
					return "", "", ErrSyntax
				}
				b.WriteByte(s[i])
			case c < ' ' || c == 0x7f:
				return "", "", ErrSyntax
			default:
				b.WriteByte(c)
			}
		}
		return "", "", ErrSyntax
	}
	i := strings.LastIndexByte(s, '@')
	if i < 0 {
		return "", "", ErrSyntax
	}
	local, domain = s[:i], s[i+1:]
	if strings.Contains(local, "@") {
		return "", "", ErrRouting
	}
	if !isDotString(local) {
		return "", "", ErrSyntax
	}
	return local, domain, nil
}

// isDotString reports an RFC 5321 Dot-string, extended by RFC 6531 to UTF-8.
func isDotString(s string) bool {
	if s == "" || s[0] == '.' || s[len(s)-1] == '.' || strings.Contains(s, "..") {
		return false
	}
	for _, r := range s {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r > 0x9f:
		case strings.ContainsRune("!#$%&'*+-/=?^_`{|}~.", r):
		default:
			return false
		}
	}
	return true
}

// Domain brings a domain name to its one form for comparison: lower case,
// A-labels, no final dot.
func Domain(s string) (string, error) {
	if s == "" || len(s) > 255 {
		return "", ErrDomain
	}
	a, err := idna.Lookup.ToASCII(s)
	if err != nil {
		// Underscores stand in real host names, and IDNA knows none.
		if !isASCII(s) {
			return "", ErrDomain
		}
		a = strings.ToLower(s)
	}
	if len(a) > 253 {
		return "", ErrDomain
	}
	for label := range strings.SplitSeq(a, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return "", ErrDomain
		}
		for i := range len(label) {
			c := label[i]
			if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
				return "", ErrDomain
			}
		}
	}
	return a, nil
}

// parseLiteral checks [192.0.2.1] and [IPv6:2001:db8::1] (RFC 5321 section 4.1.3).
func parseLiteral(s string) (string, error) {
	if !strings.HasSuffix(s, "]") {
		return "", ErrDomain
	}
	in := s[1 : len(s)-1]
	six := len(in) > 5 && strings.EqualFold(in[:5], "ipv6:")
	if six {
		in = in[5:]
	}
	ip, err := netip.ParseAddr(in)
	if err != nil || ip.Is4() == six || ip.Zone() != "" {
		return "", ErrDomain
	}
	if six {
		return "[IPv6:" + ip.String() + "]", nil
	}
	return "[" + ip.String() + "]", nil
}

// IsNull reports the null reverse-path.
func (a Address) IsNull() bool { return a == Address{} }

// Local is the local part without quoting.
func (a Address) Local() string { return a.local }

// Domain is the domain as it was given.
func (a Address) Domain() string { return a.domain }

// ASCIIDomain is the domain in its form for comparison (see the function Domain).
func (a Address) ASCIIDomain() string { return a.ascii }

// IsLiteral reports an address literal such as user@[192.0.2.1].
func (a Address) IsLiteral() bool { return a.literal }

// NeedsUTF8 reports whether the address can only travel with SMTPUTF8 (RFC 6531).
func (a Address) NeedsUTF8() bool { return !isASCII(a.local) || !isASCII(a.domain) }

// String is the address as it goes on the wire, quoted where it must be. It
// parses to the same Address. The null reverse-path is "".
func (a Address) String() string {
	if a.IsNull() {
		return ""
	}
	return quoteLocal(a.local) + "@" + a.domain
}

// Key is the normal form under which an address is stored and looked up: the
// local part exactly, the domain in lower case with A-labels.
func (a Address) Key() string {
	if a.IsNull() {
		return ""
	}
	return quoteLocal(a.local) + "@" + a.ascii
}

func quoteLocal(local string) string {
	if isDotString(local) {
		return local
	}
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(local) {
		if local[i] == '"' || local[i] == '\\' {
			b.WriteByte('\\')
		}
		b.WriteByte(local[i])
	}
	b.WriteByte('"')
	return b.String()
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
