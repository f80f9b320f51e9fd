package smime

import (
	"iter"
	"strings"
)

// A placement says where a field goes when its message is sealed.
type placement int

const (
	outside placement = iota
	inside
	dropped
)

// DefaultDrop names the fields that [SealOptions].Drop stands for when it is
// nil: signatures over the body that is no longer there.
func DefaultDrop() []string {
	return []string{"DKIM-Signature", "ARC-Seal", "ARC-Message-Signature", "ARC-Authentication-Results"}
}

// alwaysDropped tells names the recipient must not see (Bcc), what belongs to
// an earlier delivery (Return-Path) and a length that is no longer true.
func alwaysDropped(name string) bool {
	return isOneOf(name, "Bcc", "Resent-Bcc", "Return-Path", "Content-Length")
}

func isOneOf(name string, list ...string) bool {
	for _, s := range list {
		if strings.EqualFold(name, s) {
			return true
		}
	}
	return false
}

// place puts each field of h into its place. Of several MIME-Version fields
// only the first stays: RFC 2045 section 4 knows one.
func place(h *Header, drop []string) iter.Seq2[Field, placement] {
	return func(yield func(Field, placement) bool) {
		version := false
		for f := range h.Fields() {
			where := outside
			switch {
			case alwaysDropped(f.Name):
				where = dropped
			case hasPrefixFold(f.Name, "Content-"):
				where = inside
			case isOneOf(f.Name, drop...):
				where = dropped
			case strings.EqualFold(f.Name, "MIME-Version"):
				if version {
					where = dropped
				}
				version = true
			}
			if !yield(f, where) {
				return
			}
		}
	}
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

// entityHeader is the header of what gets encrypted (RFC 8551 section 3.1),
// with its blank line: the message's own Content-* fields, and before them the
// little that makes them a MIME entity.
func entityHeader(h *Header) []byte {
	b := make([]byte, 0, 512)
	b = append(b, "MIME-Version: 1.0\r\n"...)
	if h.Count("Content-Type") == 0 {
		b = append(b, "Content-Type: text/plain\r\n"...)
	}
	for f, where := range place(h, nil) {
		if where == inside {
			b = appendField(b, f)
		}
	}
	return append(b, "\r\n"...)
}

// outerHeader is the header of the sealed message with its blank line. The
// type is the smime-type parameter (RFC 8551 section 3.2.2).
func outerHeader(h *Header, opts SealOptions, smimeType string) []byte {
	drop := opts.Drop
	if drop == nil {
		drop = DefaultDrop()
	}
	b := make([]byte, 0, len(opts.Trace)+len(h.raw)+256)
	b = append(b, opts.Trace...)
	version := false
	for f, where := range place(h, drop) {
		if where == outside {
			b = appendField(b, f)
			version = version || strings.EqualFold(f.Name, "MIME-Version")
		}
	}
	if !version {
		b = append(b, "MIME-Version: 1.0\r\n"...)
	}
	b = append(b, "Content-Type: application/pkcs7-mime; smime-type="...)
	b = append(b, smimeType...)
	return append(b, ";\r\n name=\"smime.p7m\"\r\n"+
		"Content-Transfer-Encoding: base64\r\n"+
		"Content-Disposition: attachment; filename=\"smime.p7m\"\r\n"+
		"\r\n"...)
}

// appendField adds a field as it came. Only the last one of a message that
// ends within its header can lack its line end.
func appendField(b []byte, f Field) []byte {
	b = append(b, f.Raw...)
	if !strings.HasSuffix(f.Raw, "\r\n") {
		b = append(b, "\r\n"...)
	}
	return b
}
