package config

import "sealpost/internal/address"

// DirectoryMail is the mail server that takes the notices to people for whom the
// directory has made a key, and who they come from.
type DirectoryMail struct {
	// HOST:PORT.
	Address string `yaml:"address" kind:"server" required:"true"`

	// `none`; `require`: STARTTLS with a verified certificate, or no notices;
	// `implicit`: TLS from the first byte.
	TLS string `yaml:"tls" default:"none" enum:"none|require|implicit"`

	// Who may vouch for the server's certificate, PEM. Default: the system's
	// roots.
	TLSRoots []Path `yaml:"tls_roots"`

	// For AUTH PLAIN, over TLS only.
	Username string `yaml:"username"`

	// The password, in one line. Others must not be able to read the file.
	PasswordFile Path `yaml:"password_file"`

	// The address that notices come from, and that bounces go to. Somebody should
	// read it.
	From string `yaml:"from" required:"true"`
}

func (k *checker) directoryMail() {
	const key = "directory.mail"
	m := k.config.Directory.Mail
	if m == nil {
		return
	}
	if a, err := address.Parse(m.From); m.From != "" && (err != nil || a.IsNull()) {
		k.wrong(join(key, "from"), "%s is no mail address: write one as keys@example.com", quote(m.From))
	}
	if m.TLS == "none" {
		k.unused(key, "tls: none", "tls_roots")
	}
	k.roots(join(key, "tls_roots"), m.TLSRoots)
	switch {
	case (m.Username == "") != (m.PasswordFile == ""):
		k.wrong(key, "needs username and password_file together, or neither")
	case m.Username != "" && m.TLS == "none":
		k.wrong(join(key, "username"), "would send the password in the clear: write tls: require or implicit")
	case m.PasswordFile != "":
		k.secret(join(key, "password_file"), m.PasswordFile)
	}
	if k.config.Directory.Claim == nil {
		k.wrong(key, "sends the notices of directory.claim, which is missing: write claim: {}")
	}
}
