package config

import (
	"net/netip"
	"time"
)

// Fetch bounds what is fetched, over http or https, from the URLs that stand
// in certificates. The proxy of the environment (HTTP_PROXY, HTTPS_PROXY,
// NO_PROXY) is used. Nothing is fetched for a recipient whose certificate is in
// the cache.
type Fetch struct {
	// Networks beyond the public Internet that may be connected to: where the
	// servers of your own authority are.
	// Hazard: the URLs stand in certificates, and with `aia` anybody can write
	// them: servers in these networks must bear requests from strangers.
	Networks []netip.Prefix `yaml:"networks"`

	// How long a lookup waits for what was never fetched; then it counts as
	// unknown. With `revocation: hard` it waits as long as the source has time.
	Wait time.Duration `yaml:"wait" default:"1s" min:"0s" max:"1m"`

	// How long one fetch may take.
	Timeout time.Duration `yaml:"timeout" default:"1m" min:"1s" max:"10m"`

	// The longest time between two fetches of one list or answer. It is fetched
	// ahead of its own end in any case.
	Refresh time.Duration `yaml:"refresh" default:"6h" min:"1m" max:"168h"`

	// The largest revocation list that is read.
	ListSize Size `yaml:"list_size" default:"100MiB" min:"64KiB" max:"1GiB"`

	// How much memory all lists together may take; those needed least recently
	// go first. A list of a million certificates takes some 30 MiB.
	Memory Size `yaml:"memory" default:"256MiB" min:"1MiB" max:"64GiB"`

	// The folder where lists survive a restart. It is made when it is not there,
	// and holds at most four times `list_size`. Default: none.
	Dir Path `yaml:"dir"`
}
