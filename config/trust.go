package config

import (
	"sealpost/internal/address"
	"sealpost/lookup"
)

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

	// Whether anna+bills@ may be sealed to the certificate of anna@ when there is
	// none for anna+bills@ itself. More: docs/addresses.md.
	// Hazard: some servers deliver the two to different people.
	TagFallback bool `yaml:"tag_fallback" default:"false"`

	// Whether an address that stands in the subject of a certificate counts, where
	// its subject alternative name has none. Such certificates are old.
	// Hazard: authorities are not bound to verify what stands in the subject.
	SubjectAddress bool `yaml:"subject_address" default:"false"`

	// Whether a message to a mailbox that has no certificate is sealed to the one
	// certificate of its domain, `domain-confidentiality-authority@DOMAIN`, which
	// the recipient's gateway opens. More: docs/addresses.md.
	// Hazard: behind that gateway the mail travels in the clear, and whoever holds
	// the key reads the mail of the whole domain.
	AllowDomainCertificate bool `yaml:"allow_domain_certificate" default:"false"`

	// What happens when a source that vouches itself has another key for an
	// address while the one in use is still valid. `accept`: the new one is used
	// from now on. `hold`: the old one stays in use until somebody says
	// `sealpost keys accept`. A certificate with a chain to a root is not held up.
	// Hazard: with `accept`, whoever can write to such a source reads the mail.
	OnKeyChange string `yaml:"on_key_change" default:"accept" enum:"accept|hold"`

	// A file in which the keys of addresses are remembered, so that a changed
	// key is noticed and an old one does not come back. Needed for
	// `on_key_change: hold`. It holds addresses and certificates.
	KnownKeys Path `yaml:"known_keys"`

	// Addresses for which one certificate, and no other, is used. Whoever vouches
	// for it, and whether it was withdrawn, does not matter then.
	Pins []Pin `yaml:"pins"`

	// Whether authorities are asked if they have withdrawn a certificate of a
	// source whose `trust` is `pki`, by the revocation lists and the OCSP
	// responders that certificates name. `soft`: a withdrawn certificate is
	// refused, and one of which nothing is known is used. `hard`: one of which
	// nothing is known is refused for now, and its mail deferred. `off`: nobody
	// is asked.
	// Hazard: with `off`, and with `soft` while nobody answers, mail is sealed to
	// keys that are in other hands.
	Revocation string `yaml:"revocation" default:"soft" enum:"off|soft|hard"`

	// Whether a chain that breaks off is continued with certificates fetched
	// from where the last one says that its issuer's is (authority information
	// access). Without it, what a source and `trust.roots` have must do.
	AIA bool `yaml:"aia" default:"false"`

	// How revocation lists, OCSP answers and issuers' certificates are fetched.
	Fetch Fetch `yaml:"fetch"`
}

// Pin names the one certificate that is used for an address.
type Pin struct {
	// The address.
	Address string `yaml:"address" required:"true"`

	// The SHA-256 of the certificate, as `sealpost lookup` and
	// `openssl x509 -fingerprint -sha256` show it.
	SHA256 string `yaml:"sha256" required:"true"`
}

// PinnedCertificates are the pins by the key of their address. The configuration
// has been checked.
func (t *Trust) PinnedCertificates() map[string]lookup.Fingerprint {
	pins := map[string]lookup.Fingerprint{}
	for _, p := range t.Pins {
		a, err := address.Parse(p.Address)
		if f, bad := lookup.ParseFingerprint(p.SHA256); err == nil && bad == nil {
			pins[a.Key()] = f
		}
	}
	return pins
}

func (k *checker) keyChanges() {
	t := &k.config.Trust
	if t.KnownKeys != "" {
		k.parent("trust.known_keys", t.KnownKeys)
	} else if t.OnKeyChange == "hold" {
		k.wrong("trust.on_key_change", "hold needs a memory of the keys in use: write known_keys: known.keys beside it")
	}
	seen := map[string]int{}
	for i, p := range t.Pins {
		key := item("trust.pins", i)
		a, err := address.Parse(p.Address)
		if err != nil && p.Address != "" {
			k.wrong(join(key, "address"), "%s: %s", quote(p.Address), err)
		}
		if _, err := lookup.ParseFingerprint(p.SHA256); err != nil && p.SHA256 != "" {
			k.wrong(join(key, "sha256"), "%s %s", quote(p.SHA256), err)
		}
		if first, twice := seen[a.Key()]; twice && err == nil {
			k.wrong(join(key, "address"), "%s stands twice: first in line %d", quote(p.Address), k.line(item("trust.pins", first)))
		}
		seen[a.Key()] = i
	}
}
