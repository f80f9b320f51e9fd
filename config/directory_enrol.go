package config

import "sealpost/internal/address"

// DirectoryEnrol is the directory's own mailbox: whoever sends a signed mail to
// it has his certificate learned, and is told what became of it. The mail server
// in front brings the mail (with Postfix, by a transport).
type DirectoryEnrol struct {
	// Where that mail server delivers.
	Address string `yaml:"address" kind:"address" required:"true"`

	// `smtp` or `lmtp` (RFC 2033).
	Protocol string `yaml:"protocol" default:"smtp" enum:"smtp|lmtp"`

	// The mailbox, such as keys@example.com. Mail for any other one is refused.
	Mailbox string `yaml:"mailbox" required:"true"`

	// The mail server that takes the answers. Without one, nobody is answered.
	Upstream *DirectoryEnrolUpstream `yaml:"upstream"`
}

// DirectoryEnrolUpstream is the mail server that takes the answers.
type DirectoryEnrolUpstream struct {
	// HOST:PORT.
	Address string `yaml:"address" kind:"server" required:"true"`

	// `none`; `require`: STARTTLS with a verified certificate, or no answers;
	// `implicit`: TLS from the first byte.
	TLS string `yaml:"tls" default:"none" enum:"none|require|implicit"`

	// Who may vouch for the server's certificate, PEM. Default: the system's
	// roots.
	TLSRoots []Path `yaml:"tls_roots"`
}

func (k *checker) enrol() {
	e := k.config.Directory.Enrol
	if e == nil {
		return
	}
	if _, err := address.Parse(e.Mailbox); e.Mailbox != "" && err != nil {
		k.wrong("directory.enrol.mailbox", "%s: %v", quote(e.Mailbox), err)
	}
	if d := k.config.Directory; d.Harvest.Trust == "pki" && len(k.config.Trust.Roots) == 0 && !k.config.Trust.SystemRoots {
		k.wrong("directory.enrol", "can learn from nobody, since no root is there to vouch for signers: write trust.roots")
	}
	if u := e.Upstream; u != nil {
		const key = "directory.enrol.upstream"
		if u.TLS == "none" {
			k.unused(key, "tls: none", "tls_roots")
		}
		k.roots(join(key, "tls_roots"), u.TLSRoots)
	}
}
