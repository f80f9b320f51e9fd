package config

import (
	"fmt"
	"net"
	"slices"

	"sealpost/lookup/smimea"
)

// checkResolver wants what lookup/smimea reads.
func checkResolver(s string) error {
	r, err := smimea.ParseResolver(s)
	if err != nil {
		return fmt.Errorf("%s is not a resolver: write 127.0.0.1:53, tcp://127.0.0.1:53 or tls://dns.example.com:853", quote(s))
	}
	return checkHost(r.Host())
}

// Resolvers are those of a source with type smimea.
func (s *Source) Resolvers() []smimea.Resolver {
	var out []smimea.Resolver
	for _, text := range s.Resolver {
		r, err := smimea.ParseResolver(text)
		if err != nil {
			continue // the check has reported it
		}
		r.Trusted = slices.Contains(s.TrustedResolvers, text)
		out = append(out, r)
	}
	return out
}

// smimeaSource wants resolvers whose word nobody can forge on the way, or to
// hear from the operator which ones are believed all the same.
func (k *checker) smimeaSource(key string, s *Source) {
	if len(s.Resolver) == 0 {
		k.wrong(join(key, "resolver"), "is required with type: smimea: write the resolver of this machine, as 127.0.0.1:53, if it validates DNSSEC")
		return
	}
	list, overTLS := join(key, "resolver"), false
	for i, r := range s.Resolvers() {
		overTLS = overTLS || r.Transport == smimea.TLS
		if !r.Believable() {
			k.wrong(item(list, i), "%s is neither on this machine nor reached over TLS, so anybody on the way can forge what it says: "+
				"write tls://%s, or name it in trusted_resolvers", r, net.JoinHostPort(r.Host(), "853"))
		}
	}
	if !overTLS {
		k.unused(key, "resolvers without tls://", "server_name", "tls_roots")
	}
	k.roots(join(key, "tls_roots"), s.TLSRoots)
	for i, text := range s.TrustedResolvers {
		at := item(join(key, "trusted_resolvers"), i)
		r, err := smimea.ParseResolver(text)
		switch {
		case err != nil:
		case !slices.Contains(s.Resolver, text):
			k.wrong(at, "%s is not in resolver: name one that is, spelled as there", quote(text))
		case r.Believable():
			k.wrong(at, "%s is on this machine or reached over TLS, and needs no trust beyond that: leave it out", quote(text))
		default:
			k.warn(at, "whoever is on the way to %s can put in certificates of his own", text)
		}
	}
}
