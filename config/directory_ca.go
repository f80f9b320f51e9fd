package config

import (
	"net/url"
	"os"
	"time"
)

// DirectoryCA is the directory's own authority, which issues certificates for
// people who have none. `sealpost directory ca init` makes its files.
type DirectoryCA struct {
	// The issuing certificate, the root, and the root's list of revoked
	// authorities, PEM.
	Certificate Path `yaml:"certificate" required:"true"`

	// The issuing key, PEM, not encrypted. Others must not be able to read it.
	// Hazard: whoever has it can issue certificates for everybody whose mail
	// program trusts the root.
	Key Path `yaml:"key" required:"true"`

	// How long a certificate is valid.
	Lifetime time.Duration `yaml:"lifetime" default:"17520h" min:"24h" max:"19800h"`

	// The kind of keys that are made for people. `rsa-2048`: every mail program
	// can use it. `p-256`: costs almost nothing to make, and fewer programs read
	// mail for it (docs/readers.md).
	Keys string `yaml:"keys" default:"rsa-2048" enum:"rsa-2048|p-256"`

	// How many RSA keys are kept ready, so that nobody waits for one to be made.
	Pool int `yaml:"pool" default:"100" min:"1" max:"10000"`

	// A listener for plain HTTP, that gives the authority's certificates, its list
	// and its answers of OCSP, and nothing else; such as :80. They are also given
	// at the address of the directory.
	Address string `yaml:"address" kind:"address"`

	// Where the world reaches these: certificates say so, to the end of their
	// days. Many programs fetch them by http: only. Default: with `address`
	// http://HOST, where HOST is that of the directory's `url`; else that `url`.
	URL string `yaml:"url"`
}

// completeCA fills in where the authority is reached.
func completeCA(d *Directory) {
	c := d.CA
	if c == nil || c.URL != "" {
		return
	}
	c.URL = d.URL
	if u, err := url.Parse(d.URL); c.Address != "" && err == nil && u.Hostname() != "" {
		c.URL = "http://" + u.Hostname()
	}
}

func (k *checker) authority() {
	const key = "directory.ca"
	c := k.config.Directory.CA
	if c == nil {
		return
	}
	u, err := url.Parse(c.URL)
	switch {
	case c.URL == "":
		k.wrong(join(key, "url"), "is required without hostname and directory.url: write where the world reaches this, as http://keys.example.com")
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "":
		k.wrong(join(key, "url"), "%s is not the URL of a service: write one as http://keys.example.com", quote(c.URL))
	case u.Scheme == "https":
		k.warn(key, "tells people's programs to fetch lists of revoked certificates by https, and many do so by http only: write address, or url if a proxy in front gives /ca/ by http")
	}
	if c.Certificate == "" || c.Key == "" {
		return // told already
	}
	_, certErr := os.Stat(string(c.Certificate))
	_, keyErr := os.Stat(string(c.Key))
	switch {
	case os.IsNotExist(certErr) && os.IsNotExist(keyErr):
		k.parent(join(key, "certificate"), c.Certificate)
		k.parent(join(key, "key"), c.Key)
		k.warn(key, "has no files yet, and serve needs them: make them with sealpost directory ca init")
		return
	case certErr == nil && os.IsNotExist(keyErr): // the command that helps reads this file
		k.parent(join(key, "key"), c.Key)
		k.warn(join(key, "key"), "%s is not there, and serve needs it: take it from a backup, or make another one with sealpost directory ca renew-issuer --new-key", c.Key)
		return
	}
	k.keyPairAt(join(key, "certificate"), join(key, "key"), TLS{Cert: c.Certificate, Key: c.Key})
}
