// Package address reads mailbox addresses once, strictly, so that policy,
// lookup and upstream all see the same one.
package address

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"
)

// Errors of Parse. Each has a text that a client can be shown.
var (
	ErrSyntax  = errors.New("address is not a valid mailbox (RFC 5321 section 4.1.2)")
	ErrTooLong = errors.New("address is too long (RFC 5321 section 4.5.3.1)")
	ErrDomain  = errors.New("domain name is not valid")
	ErrRouting = errors.New("address carries a route of its own (%, ! or @ in the local part)")
)

// Limits in octets as they stand on the wire, quotes included (RFC 5321
// sections 4.5.3.1.1 and 4.5.3.1.2).
const (
	maxLocal  = 64
	maxDomain = 255
)

// An Address is one RFC 5321 Mailbox (with RFC 6531 where it has characters
// beyond ASCII). The zero value is the null reverse-path, "<>". Values are
// comparable; two spellings of one mailbox have the same Key.
type Address struct {
	local   string // without quoting
	domain  string // an ASCII domain as it was given; any other in U-labels
	ascii   string // lower case, A-labels; for an address literal: the literal
	literal bool
}

// Parse reads local@domain, without angle brackets.
//
// Local parts that another server may read as a route (a percent hack, a bang
// path, a quoted "@") give ErrRouting: they could reach somebody else than the
// one whose certificate was looked up. Control characters are refused even
// where RFC 6531 would let them pass, and so are spaces outside of quotes.
func Parse(s string) (Address, error) {
	if len(s) > 2*maxLocal+len(`""@`)+maxDomain { // every character quoted
		return Address{}, ErrTooLong
	}
	if !utf8.ValidString(s) {
		return Address{}, ErrSyntax
	}
	local, domain, err := cutLocal(s)
	if err != nil {
		return Address{}, err
	}
	if len(quoteLocal(local)) > maxLocal || len(domain) > maxDomain {
		return Address{}, ErrTooLong
	}
	if isRoute(local) {
		return Address{}, ErrRouting
	}
	a := Address{local: local, literal: strings.HasPrefix(domain, "[")}
	if a.literal {
		a.domain = domain
		a.ascii, err = parseLiteral(domain)
	} else {
		a.domain, a.ascii, err = parseDomain(domain)
	}
	if err != nil {
		return Address{}, err
	}
	return a, nil
}

// cutLocal takes the local part (unquoted) off the front of s, and the "@".
func cutLocal(s string) (local, domain string, err error) {
	if strings.HasPrefix(s, `"`) {
		return cutQuoted(s)
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

// cutQuoted reads an RFC 5321 Quoted-string, extended by RFC 6531 to UTF-8.
// The empty one is refused: hardly anybody stores mail under it, and "@domain"
// is what careless programs would make of it.
func cutQuoted(s string) (local, domain string, err error) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch c := s[i]; c {
		case '"':
			if !strings.HasPrefix(s[i+1:], "@") || b.Len() == 0 {
				return "", "", ErrSyntax
			}
			if strings.ContainsFunc(b.String(), isUnfit) {
				return "", "", ErrSyntax
			}
			return b.String(), s[i+2:], nil
		case '\\':
			i++
			if i == len(s) || s[i] < ' ' || s[i] > '~' {
				return "", "", ErrSyntax
			}
			b.WriteByte(s[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", "", ErrSyntax
}

// isUnfit reports what no local part may hold, quoted or not: control
// characters (C0, DEL, C1) and the separators that break lines.
func isUnfit(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp)
}

// isDotString reports an RFC 5321 Dot-string, extended by RFC 6531 to UTF-8.
func isDotString(s string) bool {
	if s == "" || s[0] == '.' || s[len(s)-1] == '.' || strings.Contains(s, "..") {
		return false
	}
	for _, r := range s {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
		case r >= utf8.RuneSelf && !isUnfit(r) && !unicode.IsSpace(r):
		case r < utf8.RuneSelf && strings.ContainsRune("!#$%&'*+-/=?^_`{|}~.", r):
		default:
			return false
		}
	}
	return true
}

// isRoute reports a local part that some server would take apart: also one
// that only becomes a route when its compatibility characters (a full-width
// "%") are folded.
func isRoute(local string) bool {
	const routing = "%!@"
	if isASCII(local) {
		return strings.ContainsAny(local, routing)
	}
	return strings.ContainsAny(norm.NFKC.String(local), routing)
}

// IsNull reports the null reverse-path.
func (a Address) IsNull() bool { return a == Address{} }

// Local is the local part without quoting.
func (a Address) Local() string { return a.local }

// Domain is the domain as it goes on the wire: in ASCII as it was given, or in
// U-labels (RFC 5890).
func (a Address) Domain() string { return a.domain }

// ASCIIDomain is the domain in its form for comparison (see the function Domain).
func (a Address) ASCIIDomain() string { return a.ascii }

// UnicodeDomain is the domain in lower case and U-labels, for matching with what
// people write; a domain that has no such form is as ASCIIDomain gives it.
func (a Address) UnicodeDomain() string {
	if a.literal || !strings.Contains(a.ascii, "xn--") {
		return a.ascii
	}
	domain, err := idna.Lookup.ToUnicode(a.ascii)
	if err != nil {
		return a.ascii
	}
	return domain
}

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
// local part as it is but in Unicode normalization form C, because keyboards
// differ in how they write one and the same letter; the domain in lower case
// with A-labels.
func (a Address) Key() string {
	if a.IsNull() {
		return ""
	}
	return quoteLocal(normal(a.local)) + "@" + a.ascii
}

func normal(local string) string {
	if isASCII(local) {
		return local
	}
	return norm.NFC.String(local)
}

func quoteLocal(local string) string {
	if isDotString(local) {
		return local
	}
	var b strings.Builder
	b.Grow(len(local) + 2)
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
