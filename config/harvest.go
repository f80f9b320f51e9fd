package config

import (
	"net/url"
	"strings"
)

// Harvest is where signed mail goes that passes through listeners with `harvest:
// true`, so that its signers' certificates are learned. Without `url` it is the
// directory of this process. Copies are made in memory, once a message has been
// accepted; when there is no room, a message is not learned from.
type Harvest struct {
	// The directory to give them to, such as https://keys.bank.example.
	// Default: the one of the section `directory`.
	// Hazard: that directory gets these messages whole, over TLS; http: is for
	// this machine only.
	URL string `yaml:"url"`

	// A file with a token for that directory. Others must not be able to read it.
	TokenFile Path `yaml:"token_file"`

	// Who may vouch for that directory's TLS certificate, PEM. Default: the
	// system's roots.
	TLSRoots []Path `yaml:"tls_roots"`

	// The largest message that is copied.
	Size Size `yaml:"size" default:"1MiB" min:"16KiB" max:"64MiB"`

	// What all copies together may take.
	Memory Size `yaml:"memory" default:"16MiB" min:"1MiB" max:"4GiB"`
}

func (k *checker) harvest() {
	h := &k.config.Harvest
	wanted := false
	for i, l := range k.config.Listen {
		wanted = wanted || l.Harvest
		if l.Harvest && h.URL == "" && k.config.Directory == nil {
			k.wrong(join(item("listen", i), "harvest"), "has no directory to learn: write harvest: {url: \"https://keys.example.com\"}, or a section directory")
		}
	}
	if !wanted && k.has("harvest") {
		k.warn("harvest", "does nothing: no listener has harvest: true")
	}
	if h.Memory < h.Size {
		k.wrong("harvest.memory", "is smaller than harvest.size (%s)", h.Size)
	}
	if h.URL == "" {
		k.unused("harvest", "no url", "token_file", "tls_roots")
		return
	}
	k.harvestURL(h.URL)
	k.secret("harvest.token_file", h.TokenFile)
	k.roots("harvest.tls_roots", h.TLSRoots)
}

// harvestURL wants TLS, since whole messages cross the line.
func (k *checker) harvestURL(s string) {
	const key, place = "harvest.url", "/?email={address}"
	if strings.ContainsAny(s, "?{}") {
		k.wrong(key, "%s is not the URL of a directory: write one as https://keys.example.com", quote(s))
		return
	}
	if err := checkURL(strings.TrimSuffix(s, "/") + place); err != nil {
		k.wrong(key, "%s", strings.Replace(err.Error(), place, "", 1))
		return
	}
	if u, err := url.Parse(s); err == nil && u.Scheme != "https" && !isLoopback(u.Hostname()) {
		k.wrong(key, "is http:, and whole messages would cross the line in the clear: write https:")
	}
}
