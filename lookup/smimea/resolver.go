package smimea

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// A Transport is how a resolver is reached.
type Transport int

// The transports.
const (
	UDP Transport = iota // and over TCP what does not fit into a packet
	TCP
	TLS // RFC 7858
)

// A Resolver is a server that validates DNSSEC for us.
type Resolver struct {
	Transport Transport
	Address   string // HOST:PORT
	// TLS is for TLS alone. Default: the host of Address must be in a certificate
	// that chains to a root of the system.
	TLS *tls.Config
	// Trusted lets a resolver be believed that is neither on this machine nor
	// reached over TLS. Hazard: whoever is on the way can say that a certificate
	// is secure, or that there is none.
	Trusted bool
}

// Errors of ParseResolver and New.
var (
	ErrResolver  = errors.New("smimea: a resolver is written HOST:PORT, tcp://HOST:PORT or tls://HOST:PORT")
	ErrUntrusted = errors.New("smimea: the resolver is neither on this machine nor reached over TLS, so what it says of DNSSEC can be forged on the way")
)

// ParseResolver reads HOST:PORT (UDP), tcp://HOST:PORT or tls://HOST:PORT; the
// error is ErrResolver.
func ParseResolver(s string) (Resolver, error) {
	var r Resolver
	scheme, addr, ok := strings.Cut(s, "://")
	switch {
	case !ok:
		addr = s
	case scheme == "tcp":
		r.Transport = TCP
	case scheme == "tls":
		r.Transport = TLS
	default:
		return Resolver{}, ErrResolver
	}
	host, port, err := net.SplitHostPort(addr)
	if n, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil || n == 0 || host == "" {
		return Resolver{}, ErrResolver
	}
	r.Address = net.JoinHostPort(host, port)
	return r, nil
}

// String is what ParseResolver reads.
func (r Resolver) String() string {
	return [...]string{"", "tcp://", "tls://"}[r.Transport] + r.Address
}

// Host is the address without its port.
func (r Resolver) Host() string {
	host, _, _ := net.SplitHostPort(r.Address)
	return host
}

// Local reports a resolver on this machine.
func (r Resolver) Local() bool {
	if strings.EqualFold(r.Host(), "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(r.Host())
	return err == nil && ip.Unmap().IsLoopback()
}

// Believable reports that nobody on the way can put words into the resolver's
// mouth, or that the operator has said so.
func (r Resolver) Believable() bool {
	return r.Trusted || r.Transport == TLS || r.Local()
}

// check completes a resolver, or says why it is of no use.
func (r Resolver) check() (Resolver, error) {
	if _, err := ParseResolver(r.String()); err != nil {
		return r, err
	}
	if !r.Believable() {
		return r, fmt.Errorf("%w: %s", ErrUntrusted, r.Address)
	}
	if r.Transport != TLS {
		return r, nil
	}
	config := &tls.Config{}
	if r.TLS != nil {
		config = r.TLS.Clone()
	}
	config.MinVersion = max(config.MinVersion, tls.VersionTLS12)
	config.InsecureSkipVerify = false
	if config.ServerName == "" {
		config.ServerName = r.Host()
	}
	r.TLS = config
	return r, nil
}
