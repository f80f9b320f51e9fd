package config

import "time"

// Source is one place to ask for certificates.
type Source struct {
	// The name, unique among the sources. It stands in logs, metrics and
	// `sealpost lookup`.
	Name string `yaml:"name" kind:"word" required:"true"`

	// `files`: a folder of certificates. `http`: a web service.
	Type string `yaml:"type" required:"true" enum:"files|http" later:"ldap|smimea|directory|rfc4387"`

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
	// believed. Default: `source` for `files`, `pki` for `http`.
	// Hazard: with `source`, whoever can write to the source can read the mail.
	Trust string `yaml:"trust" enum:"pki|source"`

	// For `http`: a file with the token that is sent as `Authorization:
	// Bearer`. Others must not be able to read it. It is read again on SIGHUP.
	TokenFile Path `yaml:"token_file"`

	// For `http`: PEM files with the roots for the service's TLS certificate.
	// Default: the system's roots.
	TLSRoots []Path `yaml:"tls_roots"`

	// How long this source may take. Default: `lookup.timeout`.
	Timeout time.Duration `yaml:"timeout" min:"10ms" max:"5m"`

	_ struct{} `later:"base|filter|resolver|mirror|harvest|starttls|bind"`
}
