package dsn

import (
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"sealpost/internal/address"
)

// finalRecipient is the value of Final-Recipient (RFC 3464 section 2.3.2, RFC
// 6533 section 4.1): the address from the envelope, exactly.
func finalRecipient(a address.Address, wide bool) string {
	switch {
	case !a.NeedsUTF8():
		return "rfc822; " + a.String()
	case wide:
		return "utf-8; " + mailbox(a, func(s string) string { return s })
	}
	return "utf-8; " + mailbox(a, xtext)
}

// mailbox is an address as encode writes it. A domain that is too long for a
// line in that form is short enough in A-labels.
func mailbox(a address.Address, encode func(string) string) string {
	whole := a.String()
	if s := encode(whole); len(s) < maxText-len("utf-8; ") {
		return s
	}
	return encode(strings.TrimSuffix(whole, a.Domain())) + a.ASCIIDomain()
}

// xtext is the 7-bit form of an address of type utf-8 (RFC 6533 section 3).
func xtext(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r > ' ' && r < 0x7f && r != '+' && r != '=' && r != '\\' {
			b.WriteRune(r)
			continue
		}
		b.WriteString(escape(r))
	}
	return b.String()
}

// originalRecipient is the value of Original-Recipient: what the sender gave
// as ORCPT. What has no type, or is too long to be kept whole, gives "": a part
// of an address is another address.
func originalRecipient(orcpt string, wide bool) string {
	kind, addr, _ := strings.Cut(orcpt, ";")
	if !isAtomic(kind) || addr == "" {
		return ""
	}
	if wide && strings.EqualFold(kind, "utf-8") {
		addr = unescape(addr)
	}
	value := clean(kind+"; "+addr, 2*maxText, wide)
	if len(value) > maxText {
		return ""
	}
	return value
}

var embedded = regexp.MustCompile(`\\x\{([0-9A-F]{2,6})\}`)

// unescape turns utf-8-addr-xtext into the address itself; what does not become
// one stays as it is, as RFC 6533 section 3 demands.
func unescape(s string) string {
	plain := embedded.ReplaceAllStringFunc(s, func(m string) string {
		n, err := strconv.ParseUint(m[len(`\x{`):len(m)-1], 16, 32)
		if err != nil || !utf8.ValidRune(rune(n)) {
			return m
		}
		return string(rune(n))
	})
	if _, err := address.Parse(plain); err != nil || clean(plain, maxText, true) != plain {
		return s
	}
	return plain
}

// mtaName is the value of a *-MTA field of type dns (RFC 3461 section 9.3): a
// domain, or an address in brackets. A port is not part of it.
func mtaName(server string) string {
	if host, _, err := net.SplitHostPort(server); err == nil {
		server = host
	}
	if ip, err := netip.ParseAddr(server); err == nil {
		return "dns; " + literal(ip)
	}
	name := strings.Map(func(r rune) rune {
		if notInID(r) && r != '[' && r != ']' && r != ':' {
			return '?'
		}
		return r
	}, server[:min(len(server), 255)])
	if name == "" {
		return ""
	}
	return "dns; " + name
}

// literal is RFC 5321's address-literal (section 4.1.3).
func literal(ip netip.Addr) string {
	ip = ip.Unmap().WithZone("")
	if ip.Is6() {
		return "[IPv6:" + ip.String() + "]"
	}
	return "[" + ip.String() + "]"
}

// receivedFrom names the client, with its address as a comment (RFC 3464
// section 2.2.4).
func receivedFrom(hello string, ip netip.Addr) string {
	name := mtaName(hello)
	if name == "" || !ip.IsValid() {
		return name
	}
	return name + " (" + literal(ip) + ")"
}
