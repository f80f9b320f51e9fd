package smime

import (
	"errors"
	"fmt"
	"io"

	"sealpost/smime/cms"
)

// A Store keeps the ciphertext of one message. Everything is written before
// the first Reader is asked for; then several may be open at once.
type Store interface {
	io.Writer
	Reader() (io.Reader, error) // from the first byte on
	Size() int64                // bytes written
}

// SealOptions say what the header of the sealed message becomes. Bcc,
// Resent-Bcc, Return-Path and Content-Length never stay in it.
type SealOptions struct {
	Trace []byte   // complete fields with their CRLF that are put on top, e.g. Received
	Drop  []string // further fields to leave out; nil stands for DefaultDrop()
}

// A Target is one way to encrypt a message, and the place for the result.
type Target struct {
	Cipher cms.Cipher
	Store  Store
}

// Seal reads m to its end and encrypts its entity once for each target. The
// entity (RFC 8551 section 3.1) is the message's Content-* fields and its body,
// byte for byte, with MIME-Version before them, and Content-Type: text/plain
// where there was none.
//
// An error is that of m.Body, of a store, or of the random source, wrapped;
// then nothing is left to close.
func Seal(m *Message, opts SealOptions, targets ...Target) ([]*Envelope, error) {
	if len(targets) == 0 {
		return nil, errors.New("smime: nothing to seal for")
	}
	if err := checkTrace(opts.Trace); err != nil {
		return nil, err
	}
	envelopes := make([]*Envelope, 0, len(targets))
	err := sealInto(&envelopes, m, opts, targets)
	if err != nil {
		for _, e := range envelopes {
			e.Close()
		}
		return nil, fmt.Errorf("seal: %w", err)
	}
	return envelopes, nil
}

func sealInto(envelopes *[]*Envelope, m *Message, opts SealOptions, targets []Target) error {
	sinks := make([]io.WriteCloser, 0, len(targets))
	for _, t := range targets {
		content, err := cms.NewContent(t.Cipher)
		if err != nil {
			return err
		}
		*envelopes = append(*envelopes, &Envelope{
			ciphertext: &ciphertext{
				header: outerHeader(m.Header, opts, smimeType(t.Cipher)), cipher: t.Cipher, store: t.Store,
			},
			content: content,
		})
		sinks = append(sinks, content.Encrypt(t.Store))
	}
	if err := writeEntity(fanOut(sinks), m); err != nil {
		return err
	}
	for i, sink := range sinks {
		if err := sink.Close(); err != nil {
			return err
		}
		e := (*envelopes)[i]
		if e.size = e.content.Size(); e.store.Size() != e.size {
			return fmt.Errorf("smime: store has %d bytes of a ciphertext of %d", e.store.Size(), e.size)
		}
	}
	return nil
}

// writeEntity writes what is inside a sealed message.
func writeEntity(w io.Writer, m *Message) error {
	if _, err := w.Write(entityHeader(m.Header)); err != nil {
		return err
	}
	_, err := copyAll(w, m.Body)
	return err
}

func fanOut(sinks []io.WriteCloser) io.Writer {
	if len(sinks) == 1 {
		return sinks[0]
	}
	all := make([]io.Writer, len(sinks))
	for i, s := range sinks {
		all[i] = s
	}
	return io.MultiWriter(all...)
}

// smimeType is RFC 8551's name (section 3.2.2) for what a cipher makes.
func smimeType(c cms.Cipher) string {
	if c.AEAD() {
		return "authEnveloped-data"
	}
	return "enveloped-data"
}

// checkTrace makes sure that what is put on top of a header is whole fields:
// a blank line in it would send the rest of the header into the body.
func checkTrace(trace []byte) error {
	if len(trace) == 0 {
		return nil
	}
	s := splitter{buf: trace, eof: true, lim: Limits{}.orDefault()}
	if err := s.run(); err != nil {
		return fmt.Errorf("trace fields: %w", err)
	}
	last := len(s.spans) - 1
	if last < 0 || s.spans[last].end != len(trace) || trace[len(trace)-1] != '\n' {
		return errors.New("smime: trace is not a run of whole header fields")
	}
	return nil
}
