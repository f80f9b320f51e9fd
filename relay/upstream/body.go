package upstream

import (
	"errors"
	"io"

	"sealpost/relay/dsn"
	"sealpost/relay/policy"
	"sealpost/smime"
)

// Content is a complete message: header, blank line, body, CRLF line ends, not
// dot-stuffed. WriteTo writes exactly Size bytes, and can be called again when
// a second server is tried.
type Content interface {
	Size() int64
	WriteTo(w io.Writer) (int64, error)
}

// A Body is a message that may leave, and the proof that it may. The zero
// value may not.
type Body struct {
	content Content
	sealed  bool
}

// ErrNoClearance is given for cleartext that no rule allowed.
var ErrNoClearance = errors.New("upstream: no rule allows this message to leave unsealed")

// Sealed is a copy that smime encrypted.
func Sealed(s *smime.Sealed) Body {
	if s == nil {
		return Body{}
	}
	return Body{content: s, sealed: true}
}

// Protected is a message that came encrypted, as p shows, and goes on as it is.
func Protected(p *smime.Protected, c Content) Body {
	if !p.Valid() {
		return Body{}
	}
	return Body{content: c}
}

// Cleartext is a message that a rule lets pass unsealed. The zero clearance
// gives ErrNoClearance.
func Cleartext(by policy.Clearance, c Content) (Body, error) {
	if by.Rule() == "" {
		return Body{}, ErrNoClearance
	}
	return Body{content: c}, nil
}

// Notice is a delivery status notification of our own: it never holds content.
func Notice(n *dsn.Notice) Body {
	if n == nil || n.Size() == 0 {
		return Body{}
	}
	return Body{content: n}
}

// Size is the number of bytes of the message, as in SIZE= (RFC 1870); 0 for
// the zero value.
func (b Body) Size() int64 {
	if b.content == nil {
		return 0
	}
	return b.content.Size()
}
