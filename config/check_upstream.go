package config

import (
	"net"
	"net/netip"
	"net/url"
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

func (k *checker) sources() {
	l := &k.config.Lookup
	if len(l.Sources) == 0 && k.encrypts() {
		k.wrong("lookup.sources", "is required, because rules encrypt: write one as - {name: local, type: files, dir: certs}")
	}
	k.unique("lookup.sources", "name", len(l.Sources), func(i int) string { return l.Sources[i].Name })
	for i := range l.Sources {
		k.source(item("lookup.sources", i), &l.Sources[i])
	}
}

func (k *checker) source(key string, s *Source) {
	if t := &k.config.Trust; s.Trust == "pki" && len(t.Roots) == 0 && !t.SystemRoots {
		k.wrong(join(key, "trust"), "is pki, and no root is there to vouch: write trust.roots, or trust: source if this source itself may vouch")
	}
	switch s.Type {
	case "files":
		k.unused(key, "type: files", "url", "token_file", "tls_roots")
		if s.Dir == "" {
			k.wrong(join(key, "dir"), "is required with type: files")
			return
		}
		k.folder(join(key, "dir"), s.Dir)
	case "http":
		k.unused(key, "type: http", "dir")
		if s.URL == "" {
			k.wrong(join(key, "url"), "is required with type: http")
			return
		}
		if err := checkURL(s.URL); err != nil {
			k.wrong(join(key, "url"), "%s", err)
			return
		}
		k.httpSource(key, s)
	}
}

// httpSource wants TLS, unless the answers prove themselves or the service is
// on this machine.
func (k *checker) httpSource(key string, s *Source) {
	k.secret(join(key, "token_file"), s.TokenFile)
	k.roots(join(key, "tls_roots"), s.TLSRoots)
	u, err := url.Parse(strings.ReplaceAll(s.URL, "{address}", "x"))
	if err != nil || u.Scheme == "https" {
		return
	}
	k.unused(key, "an http: URL", "tls_roots")
	here := isLoopback(u.Hostname())
	switch {
	case here:
	case s.Trust == "source":
		k.wrong(join(key, "url"), "is http:, and whoever is on the line could put in a certificate of his own: write https:, or trust: pki")
	case s.TokenFile != "":
		k.wrong(join(key, "url"), "is http:, and the token would cross the line in the clear: write https:")
	default:
		k.warn(join(key, "url"), "is http:: whoever is on the line sees the addresses and can say that there is no certificate")
	}
}

func (k *checker) trust() {
	t := &k.config.Trust
	k.roots("trust.roots", t.Roots)
	if t.MinRSABits < 2048 {
		k.warn("trust.min_rsa_bits", "RSA keys of less than 2048 bits no longer protect mail that is worth reading")
	}
}
