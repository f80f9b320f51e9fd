package config

import (
	"net/url"
	"os"
	"strings"
	"time"

	"sealpost/directory/escrow"
)

// DirectoryEscrow says where the master key is that wraps the private keys which
// the directory makes for people. It needs one of the two. It is never in the
// database, nor in a backup of it.
type DirectoryEscrow struct {
	// The file with the master keys; `sealpost directory escrow init` makes it.
	// All nodes need the same. It is read again when it has changed.
	// Hazard: without it nobody can claim a key, and mail sealed to those keys is
	// lost. With it and the database, or a backup, all of that mail can be read:
	// keep a copy, and never beside a backup.
	KeyFile Path `yaml:"key_file"`

	// A key of HashiCorp Vault or OpenBao instead: the master key never leaves it.
	Vault *DirectoryVault `yaml:"vault"`
}

// DirectoryVault is a key of the transit engine of HashiCorp Vault or OpenBao, of
// the type aes256-gcm96.
type DirectoryVault struct {
	// As https://vault.example:8200.
	URL string `yaml:"url" required:"true"`

	// Where the transit engine is mounted.
	Mount string `yaml:"mount" default:"transit"`

	// The name of the key.
	Key string `yaml:"key" required:"true"`

	// The namespace. Default: none.
	Namespace string `yaml:"namespace"`

	// A file with a token that may encrypt and decrypt with the key, and nothing
	// else. It is read again when it has changed, as Vault's agent renews it.
	// Others must not be able to read it.
	TokenFile Path `yaml:"token_file" required:"true"`

	// Who may vouch for the server's TLS certificate, PEM. Default: the system's
	// roots.
	TLSRoots []Path `yaml:"tls_roots"`
}

// DirectoryProvision makes keys for people who have none: the directory answers
// POST /v1/keys. It needs `ca` and `escrow`.
type DirectoryProvision struct {
	// Addresses that get no key: patterns, where * stands for any characters.
	Exclude []string `yaml:"exclude" kind:"glob"`

	// Whether the addresses of roles (postmaster, info, sales, …) get a key: `allow`
	// or `deny`. Whoever reads such a mailbox first can claim its key.
	Roles string `yaml:"roles" default:"allow" enum:"allow|deny"`

	// How many keys this node makes.
	Rate DirectoryProvisionRate `yaml:"rate"`

	// How long a key stays in escrow after its certificate has ended; 0s: for ever.
	// After that, mail sealed to it can be read by those only who took it home.
	Keep time.Duration `yaml:"keep" default:"2160h" min:"0s" max:"87600h"`
}

// DirectoryProvisionRate bounds how many keys one node makes. Addresses that have
// one do not count.
type DirectoryProvisionRate struct {
	// In the long run.
	PerHour int `yaml:"per_hour" default:"10000" min:"1" max:"10000000"`

	// How many at once.
	Burst int `yaml:"burst" default:"1000" min:"1" max:"10000000"`
}

func (k *checker) escrow() {
	const key = "directory.escrow"
	d := k.config.Directory
	if d.Provision != nil {
		if d.CA == nil {
			k.wrong("directory.provision", "needs an authority that issues: write ca: {certificate: ca.pem, key: ca.key}")
		}
		if d.Escrow == nil {
			k.wrong("directory.provision", "needs a master key that wraps what is made: write escrow: {key_file: escrow.key}")
		}
	}
	switch e := d.Escrow; {
	case e == nil:
	case e.KeyFile != "" && e.Vault != nil:
		k.wrong(key, "has both key_file and vault: it is one or the other")
	case e.Vault != nil:
		k.vault(e.Vault)
	case e.KeyFile == "":
		k.wrong(key, "needs key_file or vault: write escrow: {key_file: escrow.key}")
	default:
		k.masterKeys(join(key, "key_file"), e.KeyFile)
	}
}

// masterKeys reads the file, which may not be there before `escrow init`.
func (k *checker) masterKeys(key string, p Path) {
	if _, err := os.Stat(string(p)); os.IsNotExist(err) {
		k.parent(key, p)
		k.warn(key, "is not there yet, and serve needs it: make it with sealpost directory escrow init")
		return
	}
	if !k.private(key, p) {
		return
	}
	if _, err := escrow.ReadFile(string(p)); err != nil {
		k.wrong(key, "%v", err)
	}
}

func (k *checker) vault(v *DirectoryVault) {
	const key = "directory.escrow.vault"
	switch u, err := url.Parse(v.URL); {
	case v.URL == "": // told already
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		k.wrong(join(key, "url"), "%s is not the URL of a Vault: write one as https://vault.example.com:8200", quote(v.URL))
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		k.wrong(join(key, "url"), "is http:, and keys that open everything would cross the line in the clear: write https:")
	}
	const strange = "%?# "
	if strings.ContainsAny(v.Key, strange+"/") {
		k.wrong(join(key, "key"), "%s is not the name of a key", quote(v.Key))
	}
	if strings.ContainsAny(v.Mount, strange) {
		k.wrong(join(key, "mount"), "%s is not a path", quote(v.Mount))
	}
	k.secret(join(key, "token_file"), v.TokenFile)
	k.roots(join(key, "tls_roots"), v.TLSRoots)
}
