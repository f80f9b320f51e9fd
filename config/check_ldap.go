package config

import (
	"slices"
	"strings"

	"sealpost/lookup/ldap"
)

// completeLDAP fills in what depends on the URLs and the login.
func completeLDAP(s *Source) {
	if s.StartTLS == nil && slices.ContainsFunc(s.LDAPServers(), func(u string) bool { return !ldap.Secure(u) }) {
		far := slices.ContainsFunc(s.LDAPServers(), func(u string) bool { return !ldap.Secure(u) && !isLoopback(ldap.Host(u)) })
		s.StartTLS = &far
	}
	if s.Bind == "" {
		s.Bind = "none"
		if s.BindDN != "" {
			s.Bind = "simple"
		}
	}
	for _, d := range []struct {
		value     *string
		otherwise string
	}{{&s.Scope, "sub"}, {&s.Filter, "(mail={address})"}, {&s.Referrals, "fail"}, {&s.Aliases, "ignore"}} {
		if *d.value == "" {
			*d.value = d.otherwise
		}
	}
	if s.Connections == nil {
		s.Connections = new(int)
		*s.Connections = 8
	}
}

// LDAPServers are all URLs of an LDAP source, in order of preference.
func (s *Source) LDAPServers() []string { return append([]string{s.URL}, s.FallbackURLs...) }

func (k *checker) ldapSource(key string, s *Source) {
	if s.URL == "" {
		k.wrong(join(key, "url"), "is required with type: ldap")
		return
	}
	places := []string{join(key, "url")}
	for i := range s.FallbackURLs {
		places = append(places, item(join(key, "fallback_urls"), i))
	}
	seen := map[string]bool{}
	good := true
	for i, u := range s.LDAPServers() {
		switch {
		case ldap.CheckURL(u) != nil:
			k.wrong(places[i], "%s is not the URL of a server: write ldaps://ldap.example.com, ldap://ldap.example.com or ldapi://%%2Frun%%2Fslapd%%2Fldapi, without anything behind it", quote(u))
			good = false
		case seen[u]:
			k.wrong(places[i], "%s stands twice", quote(u))
		}
		seen[u] = true
	}
	if good {
		k.ldapTransport(key, places, s)
		k.ldapLogin(key, s)
	}
	k.ldapSearch(key, s)
}

// WantsStartTLS reports whether connections to ldap: URLs begin with StartTLS.
func (s *Source) WantsStartTLS() bool { return s.StartTLS != nil && *s.StartTLS }

// ldapTransport wants TLS, unless the answers prove themselves or the server
// is on this machine.
func (k *checker) ldapTransport(key string, places []string, s *Source) {
	tls, plain := false, false
	for i, u := range s.LDAPServers() {
		socket := ldap.Host(u) == ""
		clear := !ldap.Secure(u) && !s.WantsStartTLS()
		tls = tls || !clear && !socket
		plain = plain || !ldap.Secure(u)
		switch {
		case !clear || isLoopback(ldap.Host(u)):
		case s.Trust == "source":
			k.wrong(places[i], "is not encrypted, and whoever is on the line could put in a certificate of his own: write ldaps:, starttls: true, or trust: pki")
		case s.Bind == "simple":
			k.wrong(places[i], "is not encrypted, and the password would cross the line in the clear: write ldaps: or starttls: true")
		default:
			k.warn(places[i], "is not encrypted: whoever is on the line sees the addresses and can say that there is no certificate")
		}
	}
	if !plain {
		k.unused(key, "no ldap: URL", "starttls")
	}
	if !tls {
		k.unused(key, "no TLS", "tls_roots", "server_name", "tls_cert", "tls_key")
		return
	}
	k.roots(join(key, "tls_roots"), s.TLSRoots)
	switch cert, private := join(key, "tls_cert"), join(key, "tls_key"); {
	case s.TLSCert == "" && s.TLSKey == "":
	case s.TLSCert == "":
		k.wrong(cert, "is required beside tls_key")
	case s.TLSKey == "":
		k.wrong(private, "is required beside tls_cert")
	default:
		k.keyPairAt(cert, private, TLS{Cert: s.TLSCert, Key: s.TLSKey})
	}
}

func (k *checker) ldapLogin(key string, s *Source) {
	socketsOnly := !slices.ContainsFunc(s.LDAPServers(), func(u string) bool { return ldap.Host(u) != "" })
	if s.Bind != "simple" {
		k.unused(key, "bind: "+s.Bind, "bind_dn", "password_file")
	}
	switch {
	case s.Bind == "simple" && s.BindDN == "":
		k.wrong(join(key, "bind_dn"), "is required with bind: simple")
	case s.Bind == "simple" && s.PasswordFile == "":
		k.wrong(join(key, "password_file"), "is required with a bind_dn")
	case s.Bind == "simple":
		k.secret(join(key, "password_file"), s.PasswordFile)
	case s.Bind == "external" && s.TLSCert == "" && !socketsOnly:
		k.wrong(join(key, "tls_cert"), "is required with bind: external, except on an ldapi: socket: the certificate is the login")
	case s.Bind == "none" && s.Trust == "source":
		k.warn(key, "believes what a directory says to everybody: with trust: source, log in (bind_dn or bind: external), so that its access rules hold")
	}
}

func (k *checker) ldapSearch(key string, s *Source) {
	switch base := join(key, "base"); {
	case s.Base == "":
		k.wrong(base, "is required with type: ldap: write one as \"ou=people,dc=example,dc=com\"")
	case ldap.CheckBase(s.Base) != nil:
		k.wrong(base, "%s is not a distinguished name: write one as \"ou=people,dc=example,dc=com\"", quote(s.Base))
	}
	filter := join(key, "filter")
	if _, err := ldap.ParseFilter(s.Filter); err != nil {
		k.wrong(filter, "%s cannot be used: %s", quote(s.Filter), strings.TrimPrefix(err.Error(), ldap.ErrFilter.Error()+": "))
	} else if !strings.Contains(s.Filter, "{address}") && !strings.Contains(s.Filter, "{domain}") {
		k.warn(filter, "looks at {local} only: an address of another domain finds whoever has that name here, and mail to it will wait for ever")
	}
	for i, a := range s.Attributes {
		if name, options, _ := strings.Cut(a, ";"); checkWord(name) != nil || options != "" && checkWord(options) != nil {
			k.wrong(item(join(key, "attributes"), i), "%s is not the name of an attribute: write one as userCertificate;binary", quote(a))
		}
	}
}
