package config

import (
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
)

// A sourceKind is what one type of source is made of.
type sourceKind struct {
	keys  []string // that it has beside name, type, trust and timeout
	trust string   // who vouches, unless the file says it
	check func(k *checker, key string, s *Source)
}

func sourceKinds() map[string]sourceKind {
	return map[string]sourceKind{
		"directory": {[]string{"url", "token_file", "tls_roots", "mirror", "stale"}, "source", (*checker).directorySource},
		"files":     {[]string{"dir"}, "source", (*checker).filesSource},
		"http":      {[]string{"url", "token_file", "tls_roots"}, "pki", (*checker).httpSource},
		"smimea": {
			[]string{"resolver", "trusted_resolvers", "server_name", "tls_roots", "unsigned"}, "source", (*checker).smimeaSource,
		},
		"ldap": {[]string{
			"url", "fallback_urls", "starttls", "server_name", "tls_roots", "tls_cert", "tls_key", "bind", "bind_dn", "password_file",
			"base", "scope", "filter", "attributes", "referrals", "aliases", "connections",
		}, "pki", (*checker).ldapSource},
		"rfc4387": {[]string{"url", "attribute", "token_file", "tls_roots"}, "pki", (*checker).storeSource},
	}
}

func (k *checker) sources() {
	l := &k.config.Lookup
	if len(l.Sources) == 0 && k.encrypts() && (len(k.config.Listen) > 0 || k.config.Directory == nil) {
		k.wrong("lookup.sources", "is required, because rules encrypt: write one as - {name: local, type: files, dir: certs}")
	}
	k.cacheFile()
	k.unique("lookup.sources", "name", len(l.Sources), func(i int) string { return l.Sources[i].Name })
	for i := range l.Sources {
		k.source(item("lookup.sources", i), &l.Sources[i])
	}
}

// cacheFile wants a place for the file, and something that is kept in it.
func (k *checker) cacheFile() {
	const section = "lookup.cache"
	c := &k.config.Lookup.Cache
	switch {
	case c.File == "":
	case c.Entries == 0:
		k.unused(section, "entries: 0", "file")
	default:
		if info, err := os.Stat(string(c.File)); err == nil && !info.Mode().IsRegular() {
			k.wrong(section+".file", "%s is not a regular file", c.File)
			return
		}
		k.folder(section+".file", Path(filepath.Dir(string(c.File))))
	}
}

func (k *checker) source(key string, s *Source) {
	if t := &k.config.Trust; s.Trust == "pki" && len(t.Roots) == 0 && !t.SystemRoots {
		k.wrong(join(key, "trust"), "is pki, and no root is there to vouch: write trust.roots, or trust: source if this source itself may vouch")
	}
	kinds := sourceKinds()
	kind, known := kinds[s.Type]
	if !known {
		return // reported as no word of the enumeration
	}
	for _, name := range names(reflect.TypeFor[Source]()) {
		if !slices.Contains(commonKeys, name) && !slices.Contains(kind.keys, name) {
			k.unused(key, "type: "+s.Type, name)
		}
	}
	kind.check(k, key, s)
}

// commonKeys are those of every source.
var commonKeys = []string{"name", "type", "trust", "timeout"}

func (k *checker) filesSource(key string, s *Source) {
	if s.Dir == "" {
		k.wrong(join(key, "dir"), "is required with type: files")
		return
	}
	k.folder(join(key, "dir"), s.Dir)
}

// httpSource wants TLS, unless the answers prove themselves or the service is
// on this machine.
func (k *checker) httpSource(key string, s *Source) {
	if s.URL == "" {
		k.wrong(join(key, "url"), "is required with type: http")
		return
	}
	if err := checkURL(s.URL); err != nil {
		k.wrong(join(key, "url"), "%s", err)
		return
	}
	k.webService(key, s)
}

// storeSource is the same for a URL without a query.
func (k *checker) storeSource(key string, s *Source) {
	if s.URL == "" {
		k.wrong(join(key, "url"), "is required with type: rfc4387")
		return
	}
	if strings.ContainsAny(s.URL, "?{}") {
		k.wrong(join(key, "url"), "%s has a query, which is put behind it as RFC 4387 wants it: write the URL up to the question mark", quote(s.URL))
		return
	}
	if err := checkURL(s.URL + "?uri={address}"); err != nil {
		k.wrong(join(key, "url"), "%s", strings.Replace(err.Error(), "?uri={address}", "", 1))
		return
	}
	k.webService(key, s)
}

func (k *checker) webService(key string, s *Source) {
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
