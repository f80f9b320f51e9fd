package config

import (
	"net"
	"net/netip"
	"strings"
)

// A socket is an address that this process listens on.
type socket struct {
	key, host, port string
	ip              netip.Addr // invalid for all addresses
}

func socketOf(key, addr string) (socket, bool) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil || port == "0" {
		return socket{}, false
	}
	ip, _ := netip.ParseAddr(host)
	return socket{key, host, port, ip}, true
}

// overlaps reports whether both sockets cannot be open at once. The addresses
// 0.0.0.0 and :: stand for all of their family; :: and an empty host for both.
func (s socket) overlaps(o socket) bool {
	return s.port == o.port && (s.ip == o.ip || s.all(o.ip) || o.all(s.ip))
}

func (s socket) all(ip netip.Addr) bool {
	if s.ip.IsValid() && !s.ip.IsUnspecified() {
		return false
	}
	return !s.ip.Is4() || ip.Is4()
}

// serves reports whether a connection to host:port would reach the socket.
func (s socket) serves(host, port, own string) bool {
	if s.port != port {
		return false
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return s.ip == ip || s.all(ip) && (ip.IsLoopback() || ip.IsUnspecified())
	}
	all := !s.ip.IsValid() || s.ip.IsUnspecified()
	switch strings.ToLower(strings.TrimSuffix(host, ".")) {
	case "localhost":
		return all || s.ip.IsLoopback()
	case strings.ToLower(own):
		return all || !s.ip.IsLoopback()
	}
	return false
}

// sockets looks for addresses that stand twice, and for an upstream that is
// one of our own listeners: every message would come back.
func (k *checker) sockets() {
	var open []socket
	add := func(key, addr string) {
		s, ok := socketOf(key, addr)
		if !ok {
			return
		}
		for _, o := range open {
			if s.overlaps(o) {
				what := quote(addr)
				if !k.has(key) {
					what += " (the default)"
				}
				k.wrong(key, "%s is taken already by %s in line %d", what, o.key, k.line(o.key))
				return
			}
		}
		open = append(open, s)
	}
	for i, l := range k.config.Listen {
		add(join(item("listen", i), "address"), l.Address)
	}
	listeners := len(open)
	k.metrics(add)
	if d := k.config.Directory; d != nil {
		add("directory.address", d.Address)
		if d.Enrol != nil {
			add("directory.enrol.address", d.Enrol.Address)
		}
		if d.CA != nil {
			add("directory.ca.address", d.CA.Address)
		}
	}
	for i, u := range k.config.Upstream {
		host, port, err := net.SplitHostPort(u.Address)
		for _, s := range open[:listeners] {
			if err == nil && s.serves(host, port, k.config.Hostname) {
				k.wrong(join(item("upstream", i), "address"), "%s is our own listener (%s in line %d): every message would come back", quote(u.Address), s.key, k.line(s.key))
				break
			}
		}
	}
}

func (k *checker) metrics(add func(key, addr string)) {
	addr := k.config.Metrics.Address
	if addr == "none" {
		return
	}
	add("metrics.address", addr)
	host, _, err := net.SplitHostPort(addr)
	if ip, _ := netip.ParseAddr(host); err == nil && !ip.IsLoopback() {
		k.warn("metrics.address", "%s can be reached from other machines, and has no access control", quote(addr))
	}
}
