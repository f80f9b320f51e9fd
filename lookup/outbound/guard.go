package outbound

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
)

// Errors of a Client, to be found with errors.Is.
var (
	ErrURL      = errors.New("not a URL that is fetched: only http and https are, without a login")
	ErrAddress  = errors.New("is no public address, and no network of trust.fetch.networks")
	ErrRedirect = errors.New("redirected too often")
	ErrTooLarge = errors.New("the answer is larger than is read")
	ErrStatus   = errors.New("the server did not answer with what was asked for")
	ErrResting  = errors.New("the server did not answer a moment ago, and is left alone for a while")
	ErrClosed   = errors.New("stopping")
)

// notPublic are the networks that IANA's registries of special-purpose
// addresses reserve for other uses than hosts on the Internet (RFC 6890), as
// far as netip's own questions do not know them. Those that carry an IPv4
// address inside are here too: no authority's server has such an address.
var notPublic = func() []netip.Prefix {
	var out []netip.Prefix
	for _, s := range []string{
		"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15",
		"198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
		"::/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16", "fec0::/10",
	} {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}()

// public reports whether a stranger may name this address.
func public(ip netip.Addr) bool {
	if !ip.IsGlobalUnicast() || ip.IsPrivate() || ip.Zone() != "" {
		return false
	}
	for _, p := range notPublic {
		if p.Contains(ip) {
			return false
		}
	}
	return true
}

// allowed says why an address is not connected to; nil when it may be.
func (c *Client) allowed(ip netip.Addr) error {
	ip = ip.Unmap()
	if public(ip) {
		return nil
	}
	for _, p := range c.opts.Networks {
		if p.Contains(ip.WithZone("")) {
			return nil
		}
	}
	return fmt.Errorf("%v %w", ip, ErrAddress)
}

// control looks at the address that is about to be connected to: after the
// name was resolved, so that no second answer of the DNS can slip by.
func (c *Client) control(_, address string, _ syscall.RawConn) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return err
	}
	return c.allowed(ip)
}

// checkURL looks at a URL before anything is done with it.
func checkURL(u *url.URL) error {
	switch {
	case u.Scheme != "http" && u.Scheme != "https", u.Hostname() == "", u.User != nil, u.Opaque != "", len(u.String()) > maxURL:
		return ErrURL
	}
	return nil
}

// checkProxied looks at the host of a request that a proxy will make: the proxy
// resolves names and decides what it reaches; what is plain to see is refused.
func (c *Client) checkProxied(u *url.URL) error {
	host := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return fmt.Errorf("%s %w", host, ErrAddress)
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return c.allowed(ip)
	}
	return nil
}
