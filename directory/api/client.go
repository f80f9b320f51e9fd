package api

import (
	"net/http"
	"net/netip"
	"strings"
)

// clientOf says whose call this is: the address that connected, or what the
// proxies in trusted say about it. IPv6 addresses count as their /64, which is
// what one customer has.
//
// X-Forwarded-For is read from its end: each hop that is one of ours is
// believed about the hop before it, and nothing further.
func clientOf(r *http.Request, trusted []netip.Prefix) netip.Prefix {
	peer := peerOf(r.RemoteAddr)
	if len(trusted) > 0 && within(peer, trusted) {
		peer = forwardedFor(r.Header.Values("X-Forwarded-For"), peer, trusted)
	}
	return networkOf(peer)
}

// peerOf reads host:port; what is no IP address (a Unix socket) is the zero Addr.
func peerOf(remote string) netip.Addr {
	ap, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap().WithZone("")
}

// forwardedFor walks the list from its end as long as it stands on ground that
// is trusted. A hop that cannot be read ends the walk at the last good one.
func forwardedFor(values []string, peer netip.Addr, trusted []netip.Prefix) netip.Addr {
	list := strings.Join(values, ",")
	for list != "" && within(peer, trusted) {
		var hop string
		if i := strings.LastIndexByte(list, ','); i >= 0 {
			list, hop = list[:i], list[i+1:]
		} else {
			list, hop = "", list
		}
		next, ok := parseHop(strings.TrimSpace(hop))
		if !ok {
			return peer
		}
		peer = next
	}
	return peer
}

// parseHop reads an address as proxies write it: with or without a port.
func parseHop(s string) (netip.Addr, bool) {
	if a, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
		return a.Unmap().WithZone(""), true
	}
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return ap.Addr().Unmap().WithZone(""), true
	}
	return netip.Addr{}, false
}

func within(a netip.Addr, networks []netip.Prefix) bool {
	for _, n := range networks {
		if n.Contains(a) {
			return true
		}
	}
	return false
}

// networkOf is what counts as one client.
func networkOf(a netip.Addr) netip.Prefix {
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}
