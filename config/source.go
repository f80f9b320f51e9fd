package config

import "time"

// Source is one place to ask for certificates.
type Source struct {
	// The name, unique among the sources. It stands in logs, metrics and
	// `sealpost lookup`.
	Name string `yaml:"name" kind:"word" required:"true"`

	// `files`: a folder of certificates. `http`: a web service. `smimea`: the
	// DNS (RFC 8162).
	Type string `yaml:"type" required:"true" enum:"files|http|smimea" later:"ldap|directory|rfc4387"`

	// For `files`: the folder. ADDRESS.pem holds the certificates of an
	// address; every other PEM or DER file counts for the addresses that its
	// certificates name.
	Dir Path `yaml:"dir"`

	// For `http`: the URL to get, in which `{address}` stands for the address,
	// escaped as it must be. 200 with certificates (PEM, DER, certs-only
	// PKCS#7, or the JSON of Sealpost's directory) is an answer, 404 says that
	// there is none, anything else that the source is unavailable.
	// Hazard: who can alter the answer chooses who reads the mail. `http:` is
	// for this machine only, unless `trust` is `pki`.
	URL string `yaml:"url"`

	// Who vouches for the certificates of this source. `pki`: a chain to one of
	// `trust.roots`. `source`: the source itself, whatever it answers is
	// believed. Default: `source` for `files` and `smimea`, `pki` for `http`.
	// Records of `smimea` with usage 1 need the chain in any case.
	// Hazard: with `source`, whoever can write to the source can read the mail.
	Trust string `yaml:"trust" enum:"pki|source"`

	// For `http`: a file with the token that is sent as `Authorization:
	// Bearer`. Others must not be able to read it. It is read again on SIGHUP.
	TokenFile Path `yaml:"token_file"`

	// For `smimea`: who is asked, one or a list in order: HOST:PORT (UDP, and
	// TCP where an answer is too long), `tcp://HOST:PORT` or `tls://HOST:PORT`.
	// It must validate DNSSEC, and be on this machine or reached over TLS.
	Resolver []string `yaml:"resolver" kind:"resolver" single:"true"`

	// For `smimea`: those of `resolver`, HOST:PORT, that are believed although
	// they are neither on this machine nor reached over TLS.
	// Hazard: whoever is on the way can put in a certificate of his own, and
	// read the mail.
	TrustedResolvers []string `yaml:"trusted_resolvers" kind:"resolver"`

	// For `smimea`: the name that the certificates of resolvers with `tls://`
	// must have. Default: the host of each.
	ServerName string `yaml:"server_name" kind:"domain"`

	// For `smimea`: what it means that a domain is not signed with DNSSEC, and
	// that the resolver has proved it. `none`: it has no certificates there.
	// `unavailable`: nothing is known, and mail to the domain is put off unless
	// another source has a certificate. Default: `none`.
	Unsigned string `yaml:"unsigned" enum:"none|unavailable"`

	// For `http` and `smimea`: PEM files with the roots for the server's TLS
	// certificate. Default: the system's roots.
	TLSRoots []Path `yaml:"tls_roots"`

	// How long this source may take. Default: `lookup.timeout`.
	Timeout time.Duration `yaml:"timeout" min:"10ms" max:"5m"`

	_ struct{} `later:"base|filter|mirror|harvest|starttls|bind"`
}
