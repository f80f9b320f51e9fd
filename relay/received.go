package relay

import (
	"bytes"
	"crypto/tls"
	"fmt"
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
	name, addr := c.Hello, c.Remote.Addr().Unmap().String()
	if c.Remote.Addr().Is6() && !c.Remote.Addr().Is4In6() {
		addr = "IPv6:" + addr
	}
	fmt.Fprintf(&b, "Received: from %s (%s[%s])\r\n", atomText(name), clientName(c), addr)
	fmt.Fprintf(&b, "\tby %s %s with %s id %s", hostname, ownHopStamp, c.With(), id)
	if c.TLS != nil {
		fmt.Fprintf(&b, "\r\n\t(using %s with cipher %s)", tls.VersionName(c.TLS.Version), tls.CipherSuiteName(c.TLS.CipherSuite))
	}
	fmt.Fprintf(&b, ";\r\n\t%s\r\n", now.Format(time.RFC1123Z))
	return b.Bytes()
}

// clientName is the reverse name that a trusted peer told by XCLIENT, with a
// blank behind it.
func clientName(c *intake.Client) string {
	if c.Name == "" {
		return ""
	}
	return atomText(c.Name) + " "
}

// atomText keeps what may stand in the field and puts "?" for the rest.
func atomText(s string) string {
	if s == "" {
		return "unknown"
	}
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r == 0x7f || strings.ContainsRune("()<>;,\\\"", r) {
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
