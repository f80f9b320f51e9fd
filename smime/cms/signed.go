package cms

import (
	"encoding/asn1"
	"io"

	"golang.org/x/crypto/cryptobyte"

	"sealpost/internal/certificate"
)

// SignedData is a signed message that was read (RFC 5652 section 5). Reading is
// not believing: that is what Verify is for. The certificates are not covered
// by any signature; anybody may have added some.
type SignedData struct {
	ContentType  asn1.ObjectIdentifier      // of the content; data in mail
	Attached     bool                       // the content stands inside
	Size         int64                      // octets of that content
	Certificates []*certificate.Certificate // each once, in their order
	Unreadable   int                        // certificates that are of another kind, damaged or too large
	Signers      []*Signer                  // none in a certs-only message

	digests *Digests
}

// A SignedReader reads one SignedData, DER or BER, in pieces of any size and in
// memory that does not grow with the content. At most 100 certificates and 16
// signatures are read, of up to 64 KiB each. An odd certificate is counted and
// left out; it never fails the message.
type SignedReader struct {
	envelope *envelope
	data     *SignedData
	failed   error // of a signer
	tee      io.Writer
}

// NewSignedReader makes a SignedReader for one message.
func NewSignedReader() *SignedReader {
	r := &SignedReader{data: &SignedData{}}
	r.envelope = newEnvelope(r.content, contentType{oidSignedData, signedData})
	r.envelope.item = r.item
	return r
}

// Tee has the content that stands inside written to w while it is read, before
// anything is known of its signatures. It is called before the first Write.
func (r *SignedReader) Tee(w io.Writer) { r.tee = w }

// Write reads the next octets. After an error, which is the one that Close gives,
// nothing more is looked at.
func (r *SignedReader) Write(p []byte) (int, error) { return r.envelope.Write(p) }

// content takes a piece of the content. The algorithms stand before it.
func (r *SignedReader) content(p []byte) error {
	if r.data.digests == nil {
		r.data.digests = announced(r.envelope.parts[partDigests])
	}
	if _, err := r.data.digests.Write(p); err != nil || r.tee == nil {
		return err
	}
	_, err := r.tee.Write(p)
	return err
}

func (r *SignedReader) item(list part, raw []byte) {
	if list == partCertificates {
		r.data.addCertificate(raw)
		return
	}
	signer, err := parseSigner(raw)
	if err != nil {
		if r.failed == nil {
			r.failed = err
		}
		return
	}
	r.data.Signers = append(r.data.Signers, signer)
}

// addCertificate keeps what can be read: other kinds of certificates (RFC 5652
// section 10.2.2) have other tags.
func (d *SignedData) addCertificate(raw []byte) {
	c, err := certificate.Parse(raw)
	if err != nil {
		d.Unreadable++
		return
	}
	for _, have := range d.Certificates {
		if string(have.Raw) == string(raw) {
			return
		}
	}
	d.Certificates = append(d.Certificates, c)
}

// Close gives the message. The error is a *FormatError.
func (r *SignedReader) Close() (*SignedData, error) {
	e := r.envelope
	if err := e.finish(); err != nil {
		return nil, err
	}
	if r.failed != nil {
		return nil, e.locate(r.failed)
	}
	d := r.data
	inner := cryptobyte.String(e.parts[partInnerType])
	if !inner.ReadASN1ObjectIdentifier(&d.ContentType) {
		return nil, e.locate(malformed("eContentType", "not an OBJECT IDENTIFIER"))
	}
	d.Attached, d.Size = e.found, e.size
	if d.digests == nil && d.Attached {
		d.digests = announced(e.parts[partDigests])
	}
	return d, nil
}

// Detached gives the content of a message that holds none. It is an error, a
// *FormatError, if there is one inside: it would not be clear what was signed.
func (d *SignedData) Detached(content *Digests) error {
	if d.Attached {
		return malformed("eContent", "a content stands inside and another beside it")
	}
	d.digests = content
	return nil
}
