package config

import (
	"net/netip"
	"time"
)

// Listen is one listener. A client may relay through it when it comes from one
// of the networks or has authenticated; a listener with neither would serve
// nobody and is refused, one that is open to the world is refused too.
type Listen struct {
	// Where to listen: IP:PORT, or :PORT for all addresses. Port 0 takes any
	// free port, which is of use in tests only.
	Address string `yaml:"address" kind:"address" required:"true"`

	// `smtp`, or `lmtp` (RFC 2033: one answer per recipient after the data).
	Protocol string `yaml:"protocol" default:"smtp" enum:"smtp|lmtp"`

	// The networks whose clients may relay without AUTH, as CIDR.
	// Hazard: everybody in them can send mail through this server. Networks
	// broader than /8 (IPv4) or /16 (IPv6) are refused: with those, the
	// listener is an open relay.
	Networks []netip.Prefix `yaml:"networks"`

	// TLS on this listener.
	TLS TLS `yaml:"tls"`

	// Who may log in. Needs TLS: AUTH is offered inside TLS only.
	Auth *Auth `yaml:"auth"`

	// The networks whose clients may use XFORWARD and XCLIENT, which is how
	// Postfix tells where a message came from.
	// Hazard: with XCLIENT such a client takes on any address, also one in
	// `networks`. List only the host of the mail server in front.
	XForward []netip.Prefix `yaml:"xforward"`

	// The networks of load balancers whose connections begin with a PROXY
	// protocol header, version 1 or 2. A connection from them without one is
	// closed.
	// Hazard: such a client says which address it has. List only the balancers.
	Proxy []netip.Prefix `yaml:"proxy"`

	// What happens to a bare CR, a bare LF or a NUL in a message. `reject`:
	// 554 5.6.11. `normalize`: bare CR and LF become CRLF before anything is
	// sealed, for senders that cannot be mended; a signature which the sender
	// made may break by that.
	BareNewline string `yaml:"bare_newline" default:"reject" enum:"reject|normalize"`

	// Whether CHUNKING and BINARYMIME (RFC 3030) are offered.
	Chunking bool `yaml:"chunking" default:"true"`

	_ struct{} `later:"harvest"`
}

// TLS is the transport security of a listener. The files are read again on
// SIGHUP.
type TLS struct {
	// `none`; `starttls`: offered; `require`: no mail without STARTTLS;
	// `implicit`: TLS from the first byte (RFC 8314), as on port 465.
	Mode string `yaml:"mode" default:"none" enum:"none|starttls|require|implicit"`

	// The certificate with its intermediates, PEM.
	Cert Path `yaml:"cert"`

	// The private key, PEM, not encrypted. Others must not be able to read it.
	Key Path `yaml:"key"`
}

// Auth is who may log in to a listener, with AUTH PLAIN or LOGIN.
type Auth struct {
	// A file as `htpasswd -B` writes it: NAME:HASH, with bcrypt hashes only.
	// Others must not be able to read it. It is read again on SIGHUP.
	Users Path `yaml:"users" required:"true"`
}

// Limits are the bounds for each listener (connections, timeouts) and each
// message.
type Limits struct {
	// The largest message that is taken, as it comes in. A sealed message is
	// about 1.37 times as large: upstream must take that.
	MessageSize Size `yaml:"message_size" default:"50MiB" min:"64KiB" max:"2GiB"`

	// The most recipients of one message; more get 452 4.5.3 (RFC 5321 section
	// 4.5.3.1.8 wants at least 100).
	Recipients int `yaml:"recipients" default:"1000" min:"1" max:"50000"`

	// The most connections at once on one listener; more get 421 4.7.0.
	Connections int `yaml:"connections" default:"1000" min:"1" max:"100000"`

	// The most connections at once from one client address; 0: no limit of its
	// own.
	ConnectionsPerClient int `yaml:"connections_per_client" default:"0" min:"0" max:"100000"`

	// The most messages on one connection; 0: any number.
	MessagesPerConnection int `yaml:"messages_per_connection" default:"0" min:"0"`

	// After so many refused commands the client hears 421 and is cut off.
	Errors int `yaml:"errors" default:"20" min:"1" max:"1000"`

	// How long a client may take for a command (RFC 5321 section 4.5.3.2.7
	// asks for five minutes).
	CommandTimeout time.Duration `yaml:"command_timeout" default:"5m" min:"1s" max:"1h"`

	// How long a client may be silent inside a message (RFC 5321 section
	// 4.5.3.2.5 asks for three minutes).
	DataTimeout time.Duration `yaml:"data_timeout" default:"3m" min:"1s" max:"1h"`

	// The slowest rate, in bytes a second, at which a client may deliver a
	// message, once it has had `data_timeout` for the start; 0: any.
	MinRate Size `yaml:"min_rate" default:"100" min:"0" max:"1MiB"`

	// How long a stopping server waits for transactions that are under way.
	ShutdownTimeout time.Duration `yaml:"shutdown_timeout" default:"30s" min:"0s" max:"10m"`

	// How much of one message is held in memory; what is larger goes to an
	// unlinked temporary file, encrypted with a key that only the process has.
	MessageMemory Size `yaml:"message_memory" default:"1MiB" min:"64KiB" max:"1GiB"`

	// How much all messages under way together hold in memory, before the
	// smaller ones go to temporary files too.
	TotalMemory Size `yaml:"total_memory" default:"64MiB" min:"1MiB" max:"64GiB"`

	// The folder for temporary files. Default: the system's.
	TempDir Path `yaml:"temp_dir"`
}
