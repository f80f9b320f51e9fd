package config

import (
	"os"
	"time"

	"golang.org/x/text/language"

	"sealpost/directory/portal"
)

// DirectoryClaim is how people come to the keys that the directory made for them:
// by a notice (see directory.mail), and the pages at /claim.
type DirectoryClaim struct {
	// The key that links and codes of notices are computed with; made at the first
	// start where it is not there. All nodes need the same. Default: the store's
	// `file` with .claim-key; required with PostgreSQL.
	// Hazard: who has it, and knows the numbers of notices in the database, can
	// claim keys. Keep it out of backups of the database.
	Key Path `yaml:"key"`

	// How long a notice can be used.
	Notice time.Duration `yaml:"notice" default:"720h" min:"1h" max:"8760h"`

	// How long a browser stays at the pages after it has shown that it may.
	Session time.Duration `yaml:"session" default:"1h" min:"5m" max:"24h"`

	// How long a key stays in escrow after its owner took it home; 0: until he
	// deletes it, or its time is over.
	DeleteAfter time.Duration `yaml:"delete_after" default:"0s" max:"87600h"`

	// A folder with templates of the notice that take the place of ours:
	// notice.LANGUAGE.txt and notice.LANGUAGE.html. See docs/claim.md.
	Templates Path `yaml:"templates"`

	// The language of notices where the sending system says nothing.
	Language string `yaml:"language" default:"en"`

	// Reminders at most, as long as the key is not claimed.
	Reminders int `yaml:"reminders" default:"3" min:"0" max:"100"`

	// How long after the last letter a reminder is sent.
	RemindAfter time.Duration `yaml:"remind_after" default:"720h" min:"24h" max:"87600h"`
}

// completeClaim fills in what depends on other keys.
func completeClaim(d *Directory) {
	if c := d.Claim; c != nil && c.Key == "" && d.Store.File != "" {
		c.Key = d.Store.File + ".claim-key"
	}
}

func (k *checker) claim() {
	const key = "directory.claim"
	d := k.config.Directory
	c := d.Claim
	if c == nil {
		if d.Provision != nil {
			k.warn("directory.provision", "makes keys that nobody can claim: write claim: {}, and mail for the notices")
		}
		return
	}
	if d.Escrow == nil {
		k.wrong(key, "needs the master key that wraps what is claimed: write escrow: {key_file: escrow.key}")
	}
	switch {
	case c.Key == "":
		k.wrong(join(key, "key"), "is required with PostgreSQL: write a file that is the same on all nodes, as key: claim.key")
	case k.has(join(key, "key")):
		k.parent(join(key, "key"), c.Key)
	}
	if d.URL != "" && portal.CheckURL(d.URL) != nil {
		k.wrong("directory.url", "is %s, and keys are claimed there: the pages at /claim need https, and no path: write one as https://keys.example.com", quote(d.URL))
	}
	if c.Templates != "" {
		if info, err := os.Stat(string(c.Templates)); err != nil || !info.IsDir() {
			k.wrong(join(key, "templates"), "%s is no folder that can be read", c.Templates)
		}
	}
	if _, err := language.Parse(c.Language); err != nil {
		k.wrong(join(key, "language"), "%s is no language: write one as en, zh or de", quote(c.Language))
	}
	if d.Mail == nil {
		k.warn(key, "has nobody to send its notices through, so that people do not hear of their keys: write directory.mail")
	}
}
