package config

import "time"

// Lookup is where the certificates of recipients come from.
type Lookup struct {
	// The sources, in order of preference. Needed, unless no rule encrypts.
	Sources []Source `yaml:"sources"`

	// `first`: the sources are asked in order, and the first that has a usable
	// certificate for the address answers. `all`: every source is asked, at
	// once, and their certificates are put together; it takes as long as the
	// slowest of them. With either, only if every source that is asked says so
	// is there no certificate.
	Mode string `yaml:"mode" default:"first" enum:"first|all"`

	// How long each source may take for an address, unless it has a `timeout`
	// of its own. A source that takes longer counts as unavailable. One that
	// fails again and again is not waited for: docs/sources.md.
	Timeout time.Duration `yaml:"timeout" default:"3s" min:"10ms" max:"5m"`

	// What is remembered of answers.
	Cache Cache `yaml:"cache"`
}

// Cache is what is remembered of the sources' answers, in memory, and with
// `file` also over a restart. A source that fails is never remembered as "no
// certificate". What is used again and again is asked for again in the
// background before its time is over.
type Cache struct {
	// The most addresses that are remembered in memory; 0: none.
	Entries int `yaml:"entries" default:"100000" min:"0" max:"100000000"`

	// How long a certificate is used without asking again.
	TTL time.Duration `yaml:"ttl" default:"1h" min:"1s" max:"168h"`

	// How long "no certificate" is believed without asking again.
	NegativeTTL time.Duration `yaml:"negative_ttl" default:"5m" min:"1s" max:"24h"`

	// How long, past `ttl`, a certificate is still used while its source is
	// unavailable; 0s: not at all. Its own validity is checked at each use.
	Stale time.Duration `yaml:"stale" default:"24h" min:"0s" max:"8760h"`

	// A file in which certificates that were found are kept, so that right after
	// a restart mail goes on while a source is away. It is made when it is not
	// there, in a folder that is; it must be on a local disk. "No certificate"
	// never stands in it. What was found under other `sources`, another `mode`
	// or other `trust` is not used. docs/sources.md says more.
	// Hazard: it holds the addresses of recipients, and who can write it chooses
	// who reads their mail. It is readable by its owner only.
	File Path `yaml:"file"`

	// The most addresses in `file`. A million take about 2 GiB of disk, and no
	// time at the start.
	FileEntries int `yaml:"file_entries" default:"1000000" min:"1000" max:"100000000"`
}
