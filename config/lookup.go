package config

import "time"

// Lookup is where the certificates of recipients come from.
type Lookup struct {
	// The sources. They are asked in order; the first that has a usable
	// certificate for the address answers. Needed, unless no rule encrypts.
	Sources []Source `yaml:"sources"`

	// How long each source may take for an address, unless it has a `timeout`
	// of its own. A source that takes longer counts as unavailable.
	Timeout time.Duration `yaml:"timeout" default:"3s" min:"10ms" max:"5m"`

	// What is remembered of answers.
	Cache Cache `yaml:"cache"`

	_ struct{} `later:"mode"`
}

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

// Cache is what is remembered of the sources' answers, in memory. A source
// that fails is never remembered as "no certificate".
type Cache struct {
	// The most addresses that are remembered; 0: none.
	Entries int `yaml:"entries" default:"100000" min:"0" max:"100000000"`

	// How long a certificate is used without asking again.
	TTL time.Duration `yaml:"ttl" default:"1h" min:"1s" max:"168h"`

	// How long "no certificate" is believed without asking again.
	NegativeTTL time.Duration `yaml:"negative_ttl" default:"5m" min:"1s" max:"24h"`

	// How long, past `ttl`, a certificate is still used while its source is
	// unavailable; 0s: not at all. Its own validity is checked at each use.
	Stale time.Duration `yaml:"stale" default:"24h" min:"0s" max:"8760h"`

	_ struct{} `later:"file"`
}

// Trust is what makes a certificate good enough to seal to.
type Trust struct {
	// PEM files with the roots that vouch for the certificates of sources whose
	// `trust` is `pki`.
	Roots []Path `yaml:"roots"`

	// Whether the system's roots vouch too.
	// Hazard: these are the roots of the web. Some of them issue certificates
	// for mail to whoever can receive one message.
	SystemRoots bool `yaml:"system_roots" default:"false"`

	// The shortest RSA key to seal to, in bits.
	MinRSABits int `yaml:"min_rsa_bits" default:"2048" min:"1024" max:"16384"`

	// Whether Anna@ may be sealed to the certificate of anna@. The local part
	// is compared exactly first. Domains never depend on case.
	// Hazard: where the two are different mailboxes, one reads the other's mail.
	FoldLocalPart bool `yaml:"fold_local_part" default:"false"`

	_ struct{} `later:"revocation|on_key_change|pin|aia"`
}

// SMIME is how messages are sealed.
type SMIME struct {
	// The content encryption. `auto`: aes-256-cbc, which every reader opens, or
	// AES-GCM for recipients whose certificate says that they can read it.
	// Hazard: the GCM kinds are not read by Thunderbird, NSS and GnuPG.
	Content string `yaml:"content" default:"auto" enum:"auto|aes-128-cbc|aes-256-cbc|aes-128-gcm|aes-256-gcm"`

	// The key transport for RSA keys: `pkcs1` (v1.5), which every reader opens,
	// or `oaep` (with SHA-256).
	// Hazard: `oaep` is not read by Apple Mail, GnuPG and older NSS.
	RSA string `yaml:"rsa" default:"pkcs1" enum:"pkcs1|oaep"`

	// The key derivation for EC keys. `sha1` is the one that Apple and Outlook
	// read; it derives a key and signs nothing, so SHA-1's weakness does not
	// touch it.
	KDF string `yaml:"kdf" default:"sha1" enum:"sha1|sha256|sha384|sha512"`

	// Header fields that are left out of sealed messages, because they sign a
	// body that is no longer there. Bcc, Resent-Bcc, Return-Path and
	// Content-Length are always left out. [] leaves out no more than those.
	Drop []string `yaml:"drop" kind:"field" default:"DKIM-Signature,ARC-Seal,ARC-Message-Signature,ARC-Authentication-Results"`

	// To how many usable certificates of one recipient a message is sealed,
	// the newest first: the recipient may hold the key of any of them.
	MaxCertificates int `yaml:"max_certificates" default:"4" min:"1" max:"16"`

	_ struct{} `later:"headers|sign"`
}
