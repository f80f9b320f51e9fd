package config

import (
	"net/netip"
	"time"
)

// Directory is the public-key directory: certificates by mail address, with an
// HTTP API for any system that wants to seal, and a page for people. It runs in
// the same process as the relay, or alone where the file has no `listen`.
type Directory struct {
	// Where the API and the page are served.
	Address string `yaml:"address" kind:"address" required:"true"`

	// The URL under which the world reaches it; it stands on the page and in
	// answers to senders. Default: https://HOSTNAME.
	URL string `yaml:"url"`

	// TLS of the API and the page.
	TLS DirectoryTLS `yaml:"tls"`

	// Where the certificates are kept.
	Store DirectoryStore `yaml:"store"`

	// A copy of what is looked up, made for speed; it may be lost, and is then
	// made again. Default: the store's `file`, or directory, with .index.
	Index Path `yaml:"index"`

	// Where lookups are answered. `index`: from that copy, which is several times
	// faster, and goes on while the database is away. `store`: from the database
	// itself, for a node without a disk of its own.
	Lookups string `yaml:"lookups" default:"index" enum:"index|store"`

	// What happens when a certificate that was learned from mail, or published,
	// replaces another one that is still valid. `accept`: the new one is used
	// from now on, and only that. `hold`: the old one stays in use until
	// somebody says `sealpost directory accept`.
	OnKeyChange string `yaml:"on_key_change" default:"accept" enum:"accept|hold"`

	// Whether lookups need a token with the scope `read`. Without, everybody who
	// reaches the address can ask for an address that he knows; nobody can list.
	RequireToken bool `yaml:"require_token" default:"false"`

	// The reverse proxies in front, whose word on the client's address (the last
	// X-Forwarded-For) is believed.
	// Hazard: who is in these networks can be any client to the rate limit.
	TrustedProxies []netip.Prefix `yaml:"trusted_proxies"`

	// How often one client may look up without a token.
	Rate DirectoryRate `yaml:"rate"`

	// What is learned from signed mail.
	Harvest DirectoryHarvest `yaml:"harvest"`

	// The directory's own mailbox, to which people send signed mail.
	Enrol *DirectoryEnrol `yaml:"enrol"`

	// The directory's own authority. Without one, it issues no certificates.
	CA *DirectoryCA `yaml:"ca"`

	// The master key for the private keys that it keeps for people.
	Escrow *DirectoryEscrow `yaml:"escrow"`

	// For whom it makes keys. Without this section, for nobody.
	Provision *DirectoryProvision `yaml:"provision"`

	// How people come to the keys that the directory made for them.
	Claim *DirectoryClaim `yaml:"claim"`

	// The mail server for notices to them.
	Mail *DirectoryMail `yaml:"mail"`

	// How the pages look.
	Page DirectoryPage `yaml:"page"`
}

// DirectoryTLS is the transport security of the directory. The files are read
// again on SIGHUP.
type DirectoryTLS struct {
	// `none`: for this machine, or behind one of `trusted_proxies`, only.
	// `files`: with `cert` and `key`. `acme`: certificates are fetched and
	// renewed by ACME (RFC 8555).
	Mode string `yaml:"mode" default:"none" enum:"none|files|acme"`

	// For `files`: the certificate with its intermediates, PEM.
	Cert Path `yaml:"cert"`

	// For `files`: the private key, PEM, not encrypted. Others must not be able
	// to read it.
	Key Path `yaml:"key"`

	// For `acme`: the names that certificates are fetched for.
	Domains []string `yaml:"domains"`

	// For `acme`: where account and certificates are kept; a folder of mode 0700.
	Cache Path `yaml:"cache"`

	// For `acme`: the address that the authority may write to.
	Email string `yaml:"email"`

	// For `acme`: the authority's directory. Default: Let's Encrypt.
	ACMEURL string `yaml:"acme_url"`
}

// DirectoryStore is the database: one file of SQLite, or PostgreSQL for several
// nodes. It needs one of the two.
type DirectoryStore struct {
	// The file of the SQLite database. It is made when it is not there.
	File Path `yaml:"file"`

	// A file with the URL of a PostgreSQL database in one line, as
	// postgres://sealpost:PASSWORD@db.example/sealpost?sslmode=verify-full.
	// Others must not be able to read it.
	PostgresURLFile Path `yaml:"postgres_url_file"`
}

// DirectoryRate bounds lookups without a token, for each client: an address, or
// a /64 of IPv6.
type DirectoryRate struct {
	// Addresses a second that one client may look up in the long run.
	PerSecond int `yaml:"per_second" default:"10" min:"1" max:"1000000"`

	// How many at once.
	Burst int `yaml:"burst" default:"100" min:"1" max:"1000000"`
}

// DirectoryHarvest is what is learned from signed mail: of mail that passes
// through the relay, that is sent to the directory's own address, or that is
// handed to POST /v1/messages.
type DirectoryHarvest struct {
	// Who vouches for a signer. `pki`: a chain to one of `trust.roots`; where
	// there are none, nothing is learned from mail. `any`:
	// nobody; the first certificate that signs for an address is believed.
	// Hazard: with `any`, whoever forges one mail for an address that is not
	// known yet can read what is written to it.
	Trust string `yaml:"trust" default:"pki" enum:"pki|any"`

	// How old a signature may be.
	MaxAge time.Duration `yaml:"max_age" default:"720h" min:"1h" max:"87600h"`

	// The largest message that is looked at.
	Size Size `yaml:"size" default:"25MiB" min:"16KiB" max:"1GiB"`
}
