package relay

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"sealpost/relay/intake"
	"sealpost/smime"
)

// Loops are cut where a message has too many hops, or has passed this very
// relay too often (RFC 5321 section 6.3).
const (
	maxHops     = 50
	maxOwnHops  = 3
	ownHopStamp = "(Sealpost)"
)

// received is the trace field of RFC 5321 section 4.4. It has no "for" clause:
// the header is shared by all copies, and must not name a Bcc recipient.
func received(c *intake.Client, hostname, id string, now time.Time) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "Received: from %s (%s)\r\n", atomText(c.Hello), host(c.Name, c.Remote.Addr()))
	if x := c.XForward; x.Name != "" || x.Addr != "" {
		addr, _ := netip.ParseAddr(x.Addr)
		fmt.Fprintf(&b, "\t(for %s)\r\n", host(x.Name, addr))
	}
	fmt.Fprintf(&b, "\tby %s %s with %s id %s", hostname, ownHopStamp, c.With(), id)
	if c.TLS != nil {
		fmt.Fprintf(&b, "\r\n\t(using %s with cipher %s)", tls.VersionName(c.TLS.Version), tls.CipherSuiteName(c.TLS.CipherSuite))
	}
	fmt.Fprintf(&b, ";\r\n\t%s\r\n", now.Format(time.RFC1123Z))
	return b.Bytes()
}

// host is a client's reverse name, where a trusted peer told one (by XCLIENT of
// the connection, by XFORWARD of the client behind it), and its address.
func host(name string, a netip.Addr) string {
	literal := "[unknown]"
	switch a = a.Unmap(); {
	case a.Is6():
		literal = "[IPv6:" + a.String() + "]"
	case a.IsValid():
		literal = "[" + a.String() + "]"
	}
	if name == "" {
		return literal
	}
	return atomText(name) + " " + literal
}

// atomText keeps what may stand in the field and puts "?" for the rest.
func atomText(s string) string {
	if s == "" {
		return "unknown"
	}
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' || strings.ContainsRune("()<>;,\\\"", r) {
			return '?'
		}
		return r
	}, s)
}

// loops reports whether the message goes round in a circle.
func loops(h *smime.Header, hostname string) bool {
	hops := fields{h}.Values("Received")
	own, stamp := 0, " by "+strings.ToLower(hostname)+" "+strings.ToLower(ownHopStamp)
	for _, v := range hops {
		if strings.Contains(strings.ToLower(strings.Join(strings.Fields(v), " ")), stamp) {
			own++
		}
	}
	return len(hops) > maxHops || own > maxOwnHops
}

// fields gives the policy its view of a header.
type fields struct{ *smime.Header }

// Values are the values of all fields of that name, from the top.
func (f fields) Values(name string) []string {
	var out []string
	for field := range f.Fields() {
		if strings.EqualFold(field.Name, name) {
			out = append(out, field.Value())
		}
	}
	return out
}
