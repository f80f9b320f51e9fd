package upstream

import "net/netip"

// Attributes tell a server that trusts us who handed the message to us, with
// Postfix's XFORWARD command. What is empty is sent as unknown; when all are
// empty, or the server does not offer XFORWARD, nothing is sent.
type Attributes struct {
	Name   string // host name of the client
	Addr   string // its address, such as 192.0.2.1 or 2001:db8::1
	Port   string
	Proto  string // SMTP, ESMTP
	Helo   string
	Ident  string // the queue id, or what stands for it
	Source string // LOCAL or REMOTE
}

// xforwardNames are the attributes in the order of Postfix, which splits them
// into two commands to stay within the length of a command line.
var xforwardNames = [...]string{"NAME", "ADDR", "PORT", "PROTO", "HELO", "IDENT", "SOURCE"}

const xforwardSplit = 3

func (a *Attributes) value(i int) string {
	switch i {
	case 0:
		return a.Name
	case 1:
		if ip, err := netip.ParseAddr(a.Addr); err == nil && ip.Is6() && !ip.Is4In6() {
			return "IPV6:" + a.Addr
		}
		return a.Addr
	case 2:
		return a.Port
	case 3:
		return a.Proto
	case 4:
		return a.Helo
	case 5:
		return a.Ident
	}
	return a.Source
}

// xforwardOffer is the set of attributes that a server takes, as bits in the
// order of xforwardNames.
type xforwardOffer uint8

func (o *xforwardOffer) add(name string) {
	for i, n := range xforwardNames {
		if oneOf(name, n) {
			*o |= 1 << i
		}
	}
}

// half is the part of the offer that goes into the first or the second command.
func (o xforwardOffer) half(second bool) xforwardOffer {
	if second {
		return o >> xforwardSplit << xforwardSplit
	}
	return o & (1<<xforwardSplit - 1)
}

// appendXForward writes one command with the attributes of an offer.
func appendXForward(b []byte, a *Attributes, o xforwardOffer) []byte {
	b = append(b, "XFORWARD"...)
	for i, name := range xforwardNames {
		if o&(1<<i) == 0 {
			continue
		}
		b = append(append(append(b, ' '), name...), '=')
		if v := a.value(i); v != "" {
			b = appendXtext(b, v[:min(len(v), 255)])
		} else {
			b = append(b, "[UNAVAILABLE]"...)
		}
	}
	return append(b, "\r\n"...)
}
