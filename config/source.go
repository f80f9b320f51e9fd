package config

import "time"

// Source is one place to ask for certificates.
type Source struct {
	// The name, unique among the sources. It stands in logs, metrics and
	// `sealpost lookup`.
	Name string `yaml:"name" kind:"word" required:"true"`

	// `directory`: a directory of Sealpost. `files`: a folder of certificates. `http`: a web service. `ldap`: an LDAP
	// directory. `rfc4387`: a certificate store over HTTP, as RFC 4387 has it.
	// `smimea`: the DNS (RFC 8162).
	Type string `yaml:"type" required:"true" enum:"directory|files|http|ldap|rfc4387|smimea"`

	// For `files`: the folder. ADDRESS.pem holds the certificates of an
	// address; every other PEM or DER file counts for the addresses that its
	// certificates name.
	Dir Path `yaml:"dir"`

	// For `http`: the URL to get, in which `{address}` stands for the address,
	// escaped as it must be. 200 with certificates (PEM, DER, certs-only
	// PKCS#7, or the JSON of Sealpost's directory) is an answer, 404 says that
	// there is none, anything else that the source is unavailable.
	// For `rfc4387`: the URL of the store, without a query.
	// For `directory`: its URL, as https://keys.example.com. Without one, it is the
	// directory of this file's section `directory`.
	// For `ldap`: the server, as `ldaps://HOST`, `ldap://HOST` (see `starttls`) or
	// `ldapi://%2Fpath%2Fto%2Fsocket`, with `:PORT` behind the host if it is
	// another than 636 or 389.
	// Hazard: who can alter the answer chooses who reads the mail. `http:` and
	// `ldap:` without TLS are for this machine only, unless `trust` is `pki`.
	URL string `yaml:"url"`

	// Who vouches for the certificates of this source. `pki`: a chain to one of
	// `trust.roots`. `source`: the source itself, whatever it answers is
	// believed. Default: `source` for `directory`, `files` and `smimea`, `pki` for `http`,
	// `ldap` and `rfc4387`. Records of `smimea` with usage 1 need the chain in any
	// case.
	// Hazard: with `source`, whoever can write to the source can read the mail.
	Trust string `yaml:"trust" enum:"pki|source"`

	// For `directory`, `http` and `rfc4387`: a file with the token that is sent as `Authorization:
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

	// For `ldap`, and for `smimea` with `tls://`: the name that the server's
	// certificate must have. Default: the host of each.
	ServerName string `yaml:"server_name" kind:"domain"`

	// For `smimea`: what it means that a domain is not signed with DNSSEC, and
	// that the resolver has proved it. `none`: it has no certificates there.
	// `unavailable`: nothing is known, and mail to the domain is put off unless
	// another source has a certificate. Default: `none`.
	Unsigned string `yaml:"unsigned" enum:"none|unavailable"`

	// For all but `files`: PEM files with the roots for the server's TLS
	// certificate. Default: the system's roots.
	TLSRoots []Path `yaml:"tls_roots"`

	// For `rfc4387`: the attribute of the query. RFC 4387 has `uri`, which for
	// S/MIME is the mail address; some stores call it `email`. Default: `uri`.
	Attribute string `yaml:"attribute" enum:"uri|email"`

	// For `ldap`: more servers of the same directory, written as `url`. They
	// are asked in order while those before them are away; a server that failed
	// is tried again after half a minute.
	FallbackURLs []string `yaml:"fallback_urls"`

	// For `ldap`: whether a connection to an `ldap:` URL begins with StartTLS. A
	// server that does not take it is not asked. Default: true, but false when
	// the server is on this machine.
	StartTLS *bool `yaml:"starttls"`

	// For `ldap`: the login. `none`: none; `simple`: `bind_dn` with the
	// password of `password_file`, only over TLS or on this machine; `external`:
	// SASL EXTERNAL, which is the client certificate, or on an `ldapi:` socket
	// the user of this process. Default: `simple` where there is a `bind_dn`,
	// else `none`.
	Bind string `yaml:"bind" enum:"none|simple|external"`

	// For `ldap`: the distinguished name to log in with.
	BindDN string `yaml:"bind_dn"`

	// For `ldap`: the file with the password on its first and only line. Others
	// must not be able to read it. It is read again for each new connection. A
	// password that the server refuses is not tried again for half a minute, so
	// that the account is not locked.
	PasswordFile Path `yaml:"password_file"`

	// For `ldap`: our certificate with its intermediates, PEM, for servers that
	// ask for one. It is read again on SIGHUP.
	TLSCert Path `yaml:"tls_cert"`

	// For `ldap`: its private key, PEM, not encrypted. Others must not be able
	// to read it.
	TLSKey Path `yaml:"tls_key"`

	// For `ldap`: the distinguished name of the entry below which people are. A
	// base that is not there makes the source unavailable.
	Base string `yaml:"base"`

	// For `ldap`: how far below: `sub`: everything, `one`: the entries directly
	// below, `base`: the entry itself. Default: `sub`.
	Scope string `yaml:"scope" enum:"sub|one|base"`

	// For `ldap`: the search filter (RFC 4515). `{address}` stands for the
	// address, `{local}` for what is left of its @ (without quotes), `{domain}`
	// for what is right of it (as xn--… where it is international); they may
	// stand in values only, and are escaped. Default: `(mail={address})`.
	Filter string `yaml:"filter"`

	// For `ldap`: the attributes that hold certificates, or PKCS#7 bundles of
	// them. Default: `userCertificate;binary`, `userSMIMECertificate;binary`, and
	// both without `;binary`.
	Attributes []string `yaml:"attributes"`

	// For `ldap`: what becomes of an answer that says that part of the
	// directory is on another server. Nobody is asked there. `fail`: the source
	// is unavailable; `ignore`: the rest is the answer, which is what Active
	// Directory needs when `base` is the domain itself. Default: `fail`.
	Referrals string `yaml:"referrals" enum:"fail|ignore"`

	// For `ldap`: whether the server looks through aliases (`follow`), or passes
	// over them (`ignore`). Default: `ignore`.
	Aliases string `yaml:"aliases" enum:"ignore|follow"`

	// For `ldap`: how many connections to each server there may be, which is
	// how many lookups it is asked at a time. Default: 8.
	Connections *int `yaml:"connections" min:"1" max:"256"`

	// How long this source may take. Default: `lookup.timeout`.
	Timeout time.Duration `yaml:"timeout" min:"10ms" max:"5m"`

	// For `directory`: a file in which the whole directory is kept and kept up to
	// date, so that lookups need no network and mail goes on while the directory
	// is away. The token needs the scope `feed`. The file is made when it is not
	// there; it and its neighbours (the name with a suffix) may be deleted while
	// Sealpost is stopped. It must be on a local disk.
	// Hazard: it holds the addresses of everybody in the directory, and who can
	// write it chooses who reads their mail. It is readable by its owner only.
	Mirror Path `yaml:"mirror"`

	// For `directory` with `mirror`: for how long after it last heard of the
	// directory the mirror answers. Default: 24h.
	// Hazard: all that time a certificate is used that was revoked meanwhile.
	Stale *time.Duration `yaml:"stale" min:"1m" max:"8760h"`

	_ struct{} `later:"harvest"`
}
