package config

import "time"

// Upstream is one server that takes the mail on.
type Upstream struct {
	// HOST:PORT, where HOST is a name or an IP address ([…] around IPv6).
	Address string `yaml:"address" kind:"server" required:"true"`

	// `none`; `opportunistic`: STARTTLS where it is offered; `require`:
	// STARTTLS or no mail; `implicit`: TLS from the first byte.
	// Hazard: with `none` and `opportunistic` whoever sits on the line can read
	// envelopes and header, and the mail of rules that do not encrypt.
	TLS string `yaml:"tls" default:"opportunistic" enum:"none|opportunistic|require|implicit"`

	// Whether the server's certificate must chain to a root and name the
	// server. Default: true for `require` and `implicit`, false for
	// `opportunistic`.
	// Hazard: without it, TLS protects from listeners only, not from whoever
	// can redirect the connection.
	Verify bool `yaml:"verify"`

	// The name that the server's certificate must have. Default: the host of
	// `address`.
	ServerName string `yaml:"server_name" kind:"domain"`

	// PEM files with the roots for the server's certificate. Default: the
	// system's roots.
	TLSRoots []Path `yaml:"tls_roots"`

	// The login that the server wants. The password is only sent inside
	// verified TLS, or to this machine.
	Auth *Login `yaml:"auth"`

	// The most connections at once to this server; when all are busy, a message
	// waits for one.
	Connections int `yaml:"connections" default:"50" min:"1" max:"10000"`

	// How long an idle connection is kept for the next message.
	IdleTimeout time.Duration `yaml:"idle_timeout" default:"60s" min:"0s" max:"1h"`

	// How long the connection, the greeting and TLS may take altogether before
	// the next server is tried.
	ConnectTimeout time.Duration `yaml:"connect_timeout" default:"10s" min:"100ms" max:"5m"`

	// How long an answer to a command may take.
	CommandTimeout time.Duration `yaml:"command_timeout" default:"2m" min:"1s" max:"30m"`

	// How long the answer to the end of the data may take. RFC 5321 section
	// 4.5.3.2.6 asks for ten minutes; the client that waits meanwhile must be
	// as patient.
	DataTimeout time.Duration `yaml:"data_timeout" default:"10m" min:"1s" max:"1h"`
}

// Login is what upstream's AUTH wants.
type Login struct {
	// The user name.
	User string `yaml:"user" required:"true"`

	// The file with the password on its first and only line. Others must not be
	// able to read it. It is read again on SIGHUP.
	PasswordFile Path `yaml:"password_file" required:"true"`
}
