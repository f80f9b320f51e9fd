package smime

import (
	"errors"
	"io"
)

// errNotSealed is what a Sealed that Envelope.Copy did not make answers.
var errNotSealed = errors.New("smime: not a sealed message")

// A Sealed is one complete message that is encrypted: header, and a body of
// base64 in lines of 76 characters (RFC 8551 section 3.3), with CRLF
// throughout. Only this package can make one; the zero value is refused.
type Sealed struct {
	*ciphertext
	prefix, suffix []byte // of the CMS, around the ciphertext
}

func (s *Sealed) made() bool { return s != nil && s.ciphertext != nil }

// Size is the number of bytes that WriteTo writes.
func (s *Sealed) Size() int64 {
	if !s.made() {
		return 0
	}
	cms := int64(len(s.prefix)) + s.size + int64(len(s.suffix))
	return int64(len(s.header)) + textSize(cms)
}

// Cipher names the content encryption, as in the configuration.
func (s *Sealed) Cipher() string {
	if !s.made() {
		return ""
	}
	return s.cipher.String()
}

// ASCII reports that the message can go to a server without 8BITMIME: only
// its header can hold anything else.
func (s *Sealed) ASCII() bool {
	if !s.made() {
		return false
	}
	for _, c := range s.header {
		if c >= 0x80 {
			return false
		}
	}
	return true
}

// WriteTo writes the message. It can be called again, for another server, and
// at the same time as that of other copies.
func (s *Sealed) WriteTo(w io.Writer) (int64, error) {
	if !s.made() {
		return 0, errNotSealed
	}
	t := newTextWriter(w)
	defer t.release()
	err := s.write(t)
	return t.written, err
}

func (s *Sealed) write(t *textWriter) error {
	if err := t.header(s.header); err != nil {
		return err
	}
	if _, err := t.Write(s.prefix); err != nil {
		return err
	}
	if err := s.writeCiphertext(t); err != nil {
		return err
	}
	if _, err := t.Write(s.suffix); err != nil {
		return err
	}
	return t.Close()
}
