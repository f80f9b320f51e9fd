package config

import (
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
)

// completeDirectory fills in what depends on other keys.
func completeDirectory(c *Config) {
	d := c.Directory
	if d == nil {
		return
	}
	if d.URL == "" && c.Hostname != "" {
		d.URL = "https://" + c.Hostname
	}
	if d.Page.Name == "" {
		d.Page.Name = c.Hostname
	}
	if d.Index == "" && d.Store.File != "" && d.Lookups != "store" {
		d.Index = d.Store.File + ".index"
	}
	completeCA(d)
	completeClaim(d)
}

func (k *checker) directory() {
	d := k.config.Directory
	if d == nil {
		return
	}
	switch relay := k.config; {
	case len(relay.Listen) > 0 && len(relay.Upstream) == 0:
		k.wrong("upstream", "is required beside listen: write where sealed mail goes, as - {address: \"127.0.0.1:10026\"}")
	case len(relay.Listen) == 0 && len(relay.Upstream) > 0:
		k.wrong("listen", "is required beside upstream: write where mail comes in, or leave upstream out for a directory alone")
	}
	if u, err := url.Parse(d.URL); d.URL != "" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "") {
		k.wrong("directory.url", "%s is not the URL of a service: write one as https://keys.example.com", quote(d.URL))
	}
	k.directoryStore(d)
	k.directoryTLS(d)
	k.enrol()
	k.authority()
	k.escrow()
	k.claim()
	k.directoryMail()
	k.networks("directory.trusted_proxies", d.TrustedProxies, "everybody in it could take on any client address")
	if d.Harvest.Trust == "any" {
		k.warn("directory.harvest.trust", "any believes the first certificate that signs for an address: one forged mail is enough for an address that is not known yet")
	}
	if t := &k.config.Trust; d.Harvest.Trust == "pki" && len(t.Roots) == 0 && !t.SystemRoots {
		k.warn("directory.harvest.trust", "is pki, and no root is there to vouch, so that nothing is learned from signed mail: write trust.roots")
	}
	k.page(&d.Page)
}

func (k *checker) directoryStore(d *Directory) {
	const key = "directory.store"
	switch s := d.Store; {
	case s.File != "" && s.PostgresURLFile != "":
		k.wrong(key, "has both file and postgres_url_file: it is one or the other")
	case s.File == "" && s.PostgresURLFile == "":
		k.wrong(key, "needs file, for SQLite, or postgres_url_file: write store: {file: directory.db}")
	case s.File != "":
		k.parent(join(key, "file"), s.File)
	default:
		k.secret(join(key, "postgres_url_file"), s.PostgresURLFile)
		if d.Index == "" && d.Lookups != "store" {
			k.wrong("directory.index", "is required with PostgreSQL: write a file on this machine, as index: directory.index")
		}
	}
	if d.Lookups == "store" {
		k.withoutIndex(d)
	}
	if d.Index != "" && k.has("directory.index") {
		k.parent("directory.index", d.Index)
	}
}

// withoutIndex refuses what needs one.
func (k *checker) withoutIndex(d *Directory) {
	if d.Index != "" {
		k.wrong("directory.index", "is a copy that nobody asks with lookups: store: leave one of the two out")
	}
	for i, s := range k.config.Lookup.Sources {
		if s.Type == "directory" && s.URL == "" {
			k.wrong("lookup.sources["+strconv.Itoa(i)+"]", "needs the directory's index, by which the relay learns what changes: leave out directory.lookups, or give the source a url")
		}
	}
}

// parent wants the folder of a file that may not be there yet.
func (k *checker) parent(key string, p Path) {
	if info, err := os.Stat(string(p)); err == nil && info.IsDir() {
		k.wrong(key, "%s is a folder", p)
		return
	}
	if info, err := os.Stat(filepath.Dir(string(p))); err != nil || !info.IsDir() {
		k.wrong(key, "the folder of %s is not there: make it, and give it to the user that runs sealpost", p)
	}
}

func (k *checker) directoryTLS(d *Directory) {
	const key = "directory.tls"
	files, acme := []string{"cert", "key"}, []string{"domains", "cache", "email", "acme_url"}
	switch t := d.TLS; t.Mode {
	case "none":
		k.unused(key, "mode: none", append(files, acme...)...)
		host, _, err := net.SplitHostPort(d.Address)
		if err == nil && !isLoopback(host) && len(d.TrustedProxies) == 0 {
			k.wrong(key, "is none, and %s can be reached from other machines: tokens would cross the line in the clear; write mode: files or acme, or the networks of the proxies in front as trusted_proxies", quote(d.Address))
		}
	case "files":
		k.unused(key, "mode: files", acme...)
		if t.Cert == "" || t.Key == "" {
			k.wrong(key, "needs cert and key with mode: files")
			return
		}
		k.keyPair(key, TLS{Cert: t.Cert, Key: t.Key})
	case "acme":
		k.unused(key, "mode: acme", files...)
		if len(t.Domains) == 0 || t.Cache == "" {
			k.wrong(key, "needs domains and cache with mode: acme")
			return
		}
		k.folder(join(key, "cache"), t.Cache)
	}
}
