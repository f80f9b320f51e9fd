package cms

import "io"

// EncryptStream encrypts in one pass to dst: plaintext is written to the result,
// and closing it completes the message without closing dst. The form is BER
// with indefinite lengths; not every reader takes it, so use a Content
// where the ciphertext can be kept.
func EncryptStream(dst io.Writer, c Cipher, to ...Recipient) (io.WriteCloser, error) {
	content, err := NewContent(c)
	if err != nil {
		return nil, err
	}
	head, err := content.head(content.key, to)
	if err != nil {
		content.Destroy()
		return nil, err
	}
	b := append([]byte{tagSequence, lengthIndefinite}, content.contentType()...)
	b = append(b, tagExplicit0, lengthIndefinite, tagSequence, lengthIndefinite)
	b = append(b, head...)
	b = append(b, tagSequence, lengthIndefinite)
	b = append(b, content.encryptedContentInfo()...)
	b = append(b, tagExplicit0, lengthIndefinite)
	if _, err := dst.Write(b); err != nil {
		content.Destroy()
		return nil, err
	}
	return &streamWriter{content.Encrypt(segmentWriter{dst}), content, dst, false}, nil
}

type streamWriter struct {
	io.WriteCloser
	content *Content
	dst     io.Writer
	closed  bool
}

// Close ends encryptedContent, EncryptedContentInfo, the envelope, the explicit
// tag and ContentInfo, with the mac at its place.
func (s *streamWriter) Close() error {
	if s.closed {
		return nil
	}
	s.closed = true
	defer s.content.Destroy()
	if err := s.WriteCloser.Close(); err != nil {
		return err
	}
	b := append(make([]byte, 4), s.content.Suffix()...)
	_, err := s.dst.Write(append(b, make([]byte, 6)...))
	return err
}

// A segmentWriter writes each chunk as an OCTET STRING of its own.
type segmentWriter struct{ dst io.Writer }

func (s segmentWriter) Write(p []byte) (int, error) {
	if _, err := s.dst.Write(appendHeader(nil, tagOctetString, int64(len(p)))); err != nil {
		return 0, err
	}
	return s.dst.Write(p)
}
