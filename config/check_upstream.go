package config

import (
	"net"
	"net/netip"
	"strings"
)

func (k *checker) upstream(key string, u *Upstream) {
	if u.TLS == "none" {
		k.unused(key, "tls: none", "server_name", "tls_roots")
	}
	secure := u.TLS == "require" || u.TLS == "implicit"
	if u.Verify && !secure {
		k.wrong(join(key, "verify"), "protects nothing with tls: %s, which goes on without TLS: write tls: require", u.TLS)
	}
	if !u.Verify {
		k.unused(key, "verify: false", "tls_roots")
	}
	k.roots(join(key, "tls_roots"), u.TLSRoots)
	here := isHere(u.Address)
	if secure && !u.Verify && !here {
		k.warn(join(key, "verify"), "the certificate of %s is not checked: whoever can redirect the connection can read the mail", u.Address)
	}
	if u.Auth != nil {
		k.login(key, u, here)
		k.secret(join(key, "auth.password_file"), u.Auth.PasswordFile)
	}
}

// login refuses what could show the password to somebody else.
func (k *checker) login(key string, u *Upstream, here bool) {
	key = join(key, "auth")
	switch {
	case u.TLS == "":
	case u.TLS == "none":
		k.wrong(key, "needs TLS: a password never leaves without, write tls: require")
	case here:
	case u.TLS == "opportunistic":
		k.wrong(key, "needs TLS that is sure to be there: write tls: require, or implicit")
	case !u.Verify:
		k.wrong(key, "the password could reach somebody else: write verify: true")
	}
}

// isHere reports HOST:PORT on this machine.
func isHere(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	return err == nil && isLoopback(host)
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback() || strings.EqualFold(host, "localhost")
}

func (k *checker) trust() {
	t := &k.config.Trust
	k.roots("trust.roots", t.Roots)
	k.keyChanges()
	if t.MinRSABits < 2048 {
		k.warn("trust.min_rsa_bits", "RSA keys of less than 2048 bits no longer protect mail that is worth reading")
	}
	k.networks("trust.fetch.networks", t.Fetch.Networks, "the URLs in strangers' certificates could lead to any machine of yours")
	if t.Fetch.ListSize > t.Fetch.Memory {
		k.wrong("trust.fetch.list_size", "is larger than trust.fetch.memory (%s)", t.Fetch.Memory)
	}
}
