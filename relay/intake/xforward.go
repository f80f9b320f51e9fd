package intake

import (
	"net"
	"net/netip"
	"strconv"
	"strings"
	"unicode/utf8"

	"sealpost/internal/reason"
	"sealpost/relay/reply"
)

// XFORWARD and XCLIENT are Postfix's: a trusted peer tells whom it speaks for.
// XFORWARD is for the record; XCLIENT makes the connection the client's own.
var (
	errXDenied = refusal(550, reply.Enhanced{5, 7, 1}, reason.RelayDenied, "Insufficient authorization")
	errXSyntax = refusal(501, reply.Enhanced{5, 5, 4}, reason.ProtocolError, "Bad attribute")
)

const maxAttribute = 255 // octets of a value, decoded

// xAllowed is what XFORWARD and XCLIENT ask for first. Behind a load balancer
// it is the client's address that must be listed, not the balancer's.
func (c *conn) xAllowed(networks []netip.Prefix) *reply.Error {
	switch {
	case len(networks) == 0:
		return errUnknown
	case !contains(networks, c.peer):
		return errXDenied
	case !c.extended():
		return errHelloFirst
	case c.tx != nil:
		return errInMail
	}
	return nil
}

// xforward answers XFORWARD. Attributes gather over several commands and hold
// for one transaction.
func (c *conn) xforward(args string) {
	if e := c.xAllowed(c.opts.XForward); e != nil {
		c.refuse(e)
		return
	}
	a := c.client.XForward
	for key, value := range attributes(args) {
		if !a.set(key, value) {
			c.refuse(errXSyntax)
			return
		}
	}
	c.client.XForward = a
	c.ok()
}

// xclient answers XCLIENT: with a greeting, as the session begins anew.
func (c *conn) xclient(args string) {
	if e := c.xAllowed(c.opts.XClient); e != nil {
		c.refuse(e)
		return
	}
	next := c.client
	for key, value := range attributes(args) {
		if !next.set(key, value) {
			c.refuse(errXSyntax)
			return
		}
	}
	c.client = next
	c.reset()
	c.client.Hello, c.client.ESMTP = "", false
	c.greet()
}

// attributes walks over KEY=value pairs, decoded; a pair that is none has the
// empty key, which nothing accepts.
func attributes(args string) func(yield func(key, value string) bool) {
	return func(yield func(string, string) bool) {
		words := strings.Fields(args)
		if len(words) == 0 {
			yield("", "")
		}
		for _, w := range words {
			key, encoded, ok := strings.Cut(w, "=")
			value, valid := attribute(encoded)
			if !ok || !valid {
				key = ""
			}
			if !yield(strings.ToUpper(key), value) {
				return
			}
		}
	}
}

// attribute decodes a value. Peers that are old send "=" and "+" as they are.
func attribute(encoded string) (string, bool) {
	switch strings.ToUpper(encoded) {
	case "[UNAVAILABLE]", "[TEMPUNAVAIL]":
		return "", true
	}
	value, ok := unxtext(encoded)
	if !ok {
		value = encoded
	}
	return value, value != "" && len(value) <= maxAttribute && utf8.ValidString(value) && !strings.ContainsFunc(value, isControl)
}

func (a *Attributes) set(key, value string) bool {
	ok := true
	switch key {
	case "NAME":
		a.Name = value
	case "ADDR":
		a.Addr, ok = attributeAddr(value)
	case "PORT":
		a.Port, ok = value, isPort(value)
	case "PROTO":
		a.Proto = value
	case "HELO":
		a.Helo = value
	case "IDENT":
		a.Ident = value
	case "SOURCE":
		a.Source = strings.ToUpper(value)
		ok = value == "" || a.Source == "LOCAL" || a.Source == "REMOTE"
	default:
		return false
	}
	return ok
}

// set changes who the client is.
func (c *Client) set(key, value string) bool {
	ok := true
	switch key {
	case "NAME":
		c.Name = value
	case "ADDR":
		value, ok = attributeAddr(value)
		addr, _ := netip.ParseAddr(value) // unavailable: the zero address, which is in no network
		c.Remote = netip.AddrPortFrom(addr, 0)
	case "PORT":
		n, _ := strconv.ParseUint(value, 10, 16)
		ok = isPort(value)
		c.Remote = netip.AddrPortFrom(c.Remote.Addr(), uint16(n))
	case "LOGIN":
		c.User = value
	case "DESTADDR":
		value, ok = attributeAddr(value)
		c.Local = &net.TCPAddr{IP: net.ParseIP(value)}
	case "DESTPORT":
		ok = isPort(value)
	case "PROTO", "HELO": // the greeting that follows says the same
	default:
		return false
	}
	return ok
}

func isPort(s string) bool {
	_, err := strconv.ParseUint(s, 10, 16)
	return s == "" || err == nil
}

// attributeAddr reads 192.0.2.1 or IPV6:2001:db8::1 and gives the address
// without the word in front.
func attributeAddr(s string) (string, bool) {
	if s == "" {
		return "", true
	}
	if len(s) > 5 && strings.EqualFold(s[:5], "IPV6:") {
		s = s[5:]
	}
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return "", false
	}
	return a.Unmap().String(), true
}
