// Package intake is the relay's own SMTP and LMTP server: the wire of RFC 5321
// and RFC 2033 with the extensions that a relay needs, strict in structure and
// fast in bulk. It knows nothing of certificates, policy or upstream; what it
// reads goes to a Handler.
//
// The end of data is CRLF.CRLF and nothing else, a message whose bytes did not
// all come is never complete, and what belongs to a message never becomes a
// command.
package intake

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/netip"

	"sealpost/internal/address"
	"sealpost/relay/reply"
)

// A Handler takes the mail that comes in. Its methods, and those of the
// Transactions it gives, are called by one goroutine a connection; a handler
// serves many connections at once. Errors become replies by reply.Of.
//
// The context of every call ends when the server is closed by force.
type Handler interface {
	// Mail begins a transaction. The Client is the handler's to keep; it does
	// not change afterwards.
	Mail(ctx context.Context, c *Client, m Mail) (Transaction, error)
}

// A Transaction is one message from MAIL to the answer after its data.
type Transaction interface {
	// Rcpt takes one recipient, or refuses it with the error.
	Rcpt(ctx context.Context, r Rcpt) error

	// Data takes the message and answers for it: one reply on SMTP, on LMTP one
	// for each accepted recipient, in their order (RFC 2033 section 4.2).
	//
	// Content has CRLF line ends and no dot-stuffing, and is also an
	// io.WriterTo. It gives io.EOF only at the true end of data; after any other
	// error the message is void, and the client is told why by intake, whatever
	// Data returns. A positive reply counts only when Data has seen io.EOF.
	Data(ctx context.Context, content io.Reader) []reply.Reply

	// Close ends the transaction. It is called once, after Data, RSET, a new
	// greeting, or the loss of the connection.
	Close()
}

// A Client is who sends a message, as far as the connection tells.
type Client struct {
	ID       string         // of the connection: short, unique, sorts by time
	Listener string         // Options.Name
	Remote   netip.AddrPort // behind a proxy: as PROXY or XCLIENT told; zero for a Unix socket
	Local    net.Addr
	Name     string // reverse name, where XCLIENT told one
	Hello    string // argument of HELO, EHLO or LHLO
	ESMTP    bool   // greeted by EHLO or LHLO
	LMTP     bool
	TLS      *tls.ConnectionState // nil: not encrypted
	User     string               // authenticated name; "" for none
	XForward Attributes           // what a trusted peer said of the client behind it

	utf8 bool
}

// With is the transmission type for the Received field: "ESMTPSA", "LMTP"
// and so on (RFC 3848, and RFC 6531 section 4.3 for SMTPUTF8).
func (c *Client) With() string {
	proto := "SMTP"
	switch {
	case c.LMTP:
		proto = "LMTP"
	case c.utf8:
	case c.ESMTP, c.TLS != nil, c.User != "": // the registry has no SMTPS
		proto = "ESMTP"
	}
	if c.utf8 {
		proto = "UTF8" + proto
	}
	if c.TLS != nil {
		proto += "S"
	}
	if c.User != "" {
		proto += "A"
	}
	return proto
}

// Attributes are what XFORWARD tells of the client behind a trusted peer. An
// empty string is what the peer did not say or called [UNAVAILABLE].
type Attributes struct {
	Name   string // reverse name
	Addr   string // IPv4 or IPv6, without the IPV6: in front
	Port   string
	Proto  string // SMTP or ESMTP
	Helo   string
	Ident  string // the peer's own message id
	Source string // LOCAL or REMOTE
}

// A BodyType is the value of BODY= (RFC 6152, RFC 3030); "" when none was given.
type BodyType string

// The body types.
const (
	Body7Bit       BodyType = "7BIT"
	Body8BitMIME   BodyType = "8BITMIME"
	BodyBinaryMIME BodyType = "BINARYMIME"
)

// Mail is the MAIL command.
type Mail struct {
	From       address.Address // null for <>
	Size       int64           // octets as the client announced them; 0: not said
	Body       BodyType
	UTF8       bool   // SMTPUTF8 (RFC 6531)
	Ret        string // DSN (RFC 3461): FULL, HDRS or ""
	EnvID      string // DSN: envelope id, decoded from xtext; printable ASCII
	RequireTLS bool   // RFC 8689
	Auth       string // AUTH= (RFC 4954 section 5), decoded; "<>" or "" unless the client has authenticated
}

// Rcpt is one RCPT command.
type Rcpt struct {
	To     address.Address
	Notify []string // DSN: NEVER alone, or some of SUCCESS, FAILURE, DELAY; nil: not said
	ORcpt  string   // DSN: "type;address", decoded from xtext; always printable ASCII (utf-8 addresses as \x{HEX}, RFC 6533)
}
