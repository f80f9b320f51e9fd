package config

// Upstream is one server that takes the mail on.
type Upstream struct {
	// HOST:PORT, where HOST is a name or an IP address ([…] around IPv6).
	Address string `yaml:"address" kind:"server" required:"true"`

	// `none`; `opportunistic`: STARTTLS where it is offered, with any
	// certificate; `require`: STARTTLS or no mail; `implicit`: TLS from the
	// first byte (RFC 8314).
	// Hazard: with `none` and `opportunistic` whoever sits on the line can read
	// envelopes and header, and the mail of rules that do not encrypt.
	TLS string `yaml:"tls" default:"opportunistic" enum:"none|opportunistic|require|implicit"`

	// Whether the server's certificate must chain to a root and name the
	// server. Default: true for `require` and `implicit`; the other modes have
	// nothing to verify.
	// Hazard: without it, TLS keeps out eavesdroppers only, not whoever
	// can redirect the connection.
	Verify bool `yaml:"verify"`

	// The name that the server's certificate must have. Default: the host of
	// `address`.
	ServerName string `yaml:"server_name" kind:"domain"`

	// PEM files with the roots for the server's certificate. Default: the
	// system's roots.
	TLSRoots []Path `yaml:"tls_roots"`

	// The login that the server wants. It needs `require` or `implicit` with
	// `verify`; to a server on this machine `opportunistic` will do, which must
	// then offer STARTTLS. The password never leaves without TLS.
	Auth *Login `yaml:"auth"`

	// Whether BDAT is used where the server offers CHUNKING (RFC 3030). false
	// is for servers whose BDAT is broken.
	Chunking bool `yaml:"chunking" default:"true"`
}

// Login is what upstream's AUTH wants.
type Login struct {
	// The user name.
	User string `yaml:"user" required:"true"`

	// The file with the password on its first and only line. Others must not be
	// able to read it. It is read again on SIGHUP.
	PasswordFile Path `yaml:"password_file" required:"true"`
}
