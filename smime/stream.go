package smime

import (
	"bytes"
	"errors"
	"io"

	"sealpost/smime/cms"
)

// maxDefinite is the size of a body up to which SealStream keeps it in memory
// in order to write definite lengths, which every reader accepts.
const maxDefinite = 1 << 20

// SealStream seals m for these recipients to dst in one pass, without a Store:
// bodies of more than 1 MiB become BER with indefinite lengths. When it fails,
// what dst has got is no message.
func SealStream(dst io.Writer, m *Message, opts SealOptions, cipher cms.Cipher, to ...cms.Recipient) error {
	if err := checkTrace(opts.Trace); err != nil {
		return err
	}
	var begin bytes.Buffer
	_, err := io.CopyN(&begin, m.Body, maxDefinite+1)
	switch {
	case err == nil:
		return sealLarge(dst, &Message{m.Header, io.MultiReader(&begin, m.Body)}, opts, cipher, to)
	case errors.Is(err, io.EOF):
		return sealSmall(dst, &Message{m.Header, &begin}, opts, cipher, to)
	}
	return err
}

func sealSmall(dst io.Writer, m *Message, opts SealOptions, cipher cms.Cipher, to []cms.Recipient) error {
	envelopes, err := Seal(m, opts, Target{Cipher: cipher, Store: &memory{}})
	if err != nil {
		return err
	}
	defer envelopes[0].Close()
	sealed, err := envelopes[0].Copy(to...)
	if err != nil {
		return err
	}
	_, err = sealed.WriteTo(dst)
	return err
}

func sealLarge(dst io.Writer, m *Message, opts SealOptions, cipher cms.Cipher, to []cms.Recipient) error {
	t := newTextWriter(dst)
	defer t.release()
	if err := t.header(outerHeader(m.Header, opts, smimeType(cipher))); err != nil {
		return err
	}
	content, err := cms.EncryptStream(t, cipher, to...)
	if err != nil {
		return err
	}
	if err := writeEntity(content, m); err != nil {
		return err
	}
	if err := content.Close(); err != nil {
		return err
	}
	return t.Close()
}

// A memory is a Store for what is small.
type memory struct{ bytes.Buffer }

func (m *memory) Reader() (io.Reader, error) { return bytes.NewReader(m.Bytes()), nil }

func (m *memory) Size() int64 { return int64(m.Len()) }
