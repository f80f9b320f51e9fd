package config

import "net/url"

// directorySource wants a service that can be believed, or the directory of the
// same file.
func (k *checker) directorySource(key string, s *Source) {
	if s.URL == "" {
		k.unused(key, "no url", "token_file", "tls_roots", "mirror", "stale")
		if k.config.Directory == nil {
			k.wrong(join(key, "url"), "is required with type: directory, unless the file has a section directory: write it as https://keys.example.com")
		}
		return
	}
	u, err := url.Parse(s.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		k.wrong(join(key, "url"), "%s is not the URL of a directory: write it as https://keys.example.com, without a query", quote(s.URL))
		return
	}
	k.webService(key, s)
	if s.Mirror == "" {
		k.unused(key, "no mirror", "stale")
		return
	}
	k.parent(join(key, "mirror"), s.Mirror)
	for i := range k.config.Lookup.Sources {
		other := &k.config.Lookup.Sources[i]
		if other == s {
			break
		}
		if other.Mirror == s.Mirror {
			k.wrong(join(key, "mirror"), "is the mirror of source %s too: each needs a file of its own", quote(other.Name))
		}
	}
}
