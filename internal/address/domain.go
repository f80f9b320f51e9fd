package address

import (
	"net/netip"
	"strings"

	"golang.org/x/net/idna"
)

// Domain brings a domain name to its one form for comparison: lower case,
// A-labels. A final dot is refused, as RFC 5321 section 4.1.2 knows none; the
// error is ErrDomain.
func Domain(s string) (string, error) {
	_, ascii, err := parseDomain(s)
	return ascii, err
}

// parseDomain gives the spelling for the wire and the one for comparison. A
// domain beyond ASCII is written anew from its A-labels: full-width letters,
// other dots and decomposed accents, all of which RFC 6531 forbids on the
// wire, must not reach a server that maps them in another way.
func parseDomain(s string) (wire, ascii string, err error) {
	if s == "" || len(s) > maxDomain {
		return "", "", ErrDomain
	}
	ascii, err = idna.Lookup.ToASCII(s)
	if err != nil {
		// Underscores and "--" stand in real host names, and IDNA knows neither.
		if !isASCII(s) {
			return "", "", ErrDomain
		}
		ascii = strings.ToLower(s)
	}
	if !isHostName(ascii) {
		return "", "", ErrDomain
	}
	if isASCII(s) {
		return s, ascii, nil
	}
	wire, err = idna.Lookup.ToUnicode(ascii)
	if err != nil || len(wire) > maxDomain {
		return "", "", ErrDomain
	}
	return wire, ascii, nil
}

// isHostName reports a lower-case name of letters, digits, hyphens and
// underscores within the limits of the DNS (RFC 1035 section 2.3.4).
func isHostName(s string) bool {
	if len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			c := label[i]
			if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
				return false
			}
		}
	}
	return true
}

// parseLiteral checks [192.0.2.1] and [IPv6:2001:db8::1] (RFC 5321 section 4.1.3)
// and gives the form for comparison.
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
