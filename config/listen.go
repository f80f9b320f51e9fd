package config

import "net/netip"

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

	// Whether certificates are learned from signed mail that passes through; see
	// the section `harvest`. Mail is never held up by it.
	Harvest bool `yaml:"harvest" default:"false"`
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
