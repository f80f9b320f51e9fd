package smime

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"strings"

	"sealpost/smime/cms"
)

// DefaultSignedSize is up to how many bytes ReadSigned reads when the options
// say nothing.
const DefaultSignedSize = 128 << 20

// SignedOptions bound what is read of a signed message.
type SignedOptions struct {
	Limits  Limits
	MaxSize int64 // bytes of the message; 0 is DefaultSignedSize
}

// A Signed is a signed message, read to its end. Nothing of it is verified; see
// cms.SignedData.Verify.
type Signed struct {
	*cms.SignedData
	Header *Header
	Opaque bool // application/pkcs7-mime; multipart/signed otherwise
}

var (
	// ErrNotSigned says that a message does not claim to be signed with S/MIME as
	// a whole.
	ErrNotSigned = errors.New("message is not signed with S/MIME")

	// ErrSignedTooLarge says that a message is larger than allowed.
	ErrSignedTooLarge = errors.New("signed message is too large")
)

// ReadSigned reads a message that is signed as a whole: multipart/signed
// (RFC 1847, RFC 8551 section 3.5.3) or application/pkcs7-mime with signed data
// (section 3.5.2), certs-only among them. Memory does not grow with its size.
//
// The signature of a multipart/signed is about the very bytes of its first part.
// Lines end in CRLF, or all in LF; then they are made CRLF, as its sender saw
// them. What two programs may take apart in two ways is refused: a boundary that
// is also the beginning of another line, CR or LF alone, a third part.
//
// The error is ErrNotSigned, ErrSignedTooLarge, a *MalformedError, a
// *cms.FormatError, or r's.
func ReadSigned(r io.Reader, opts SignedOptions) (*Signed, error) {
	if opts.MaxSize <= 0 {
		opts.MaxSize = DefaultSignedSize
	}
	limited := &io.LimitedReader{R: r, N: opts.MaxSize + 1}
	s, err := readSigned(limited, opts.Limits)
	if limited.N <= 0 {
		return nil, ErrSignedTooLarge
	}
	return s, err
}

func readSigned(r io.Reader, lim Limits) (*Signed, error) {
	r, err := withCRLF(r)
	if err != nil {
		return nil, err
	}
	m, err := ReadMessage(r, lim)
	if err != nil {
		return nil, err
	}
	kind, params, err := mediaType(m.Header)
	if err != nil {
		return nil, err
	}
	s := &Signed{Header: m.Header}
	switch kind {
	case "multipart/signed":
		if !isSignatureType(params["protocol"]) {
			return nil, ErrNotSigned
		}
		s.SignedData, err = readMultipart(m, params["boundary"])
	case "application/pkcs7-mime", "application/x-pkcs7-mime":
		switch strings.ToLower(params["smime-type"]) {
		case "", "signed-data", "certs-only":
		default:
			return nil, ErrNotSigned
		}
		s.Opaque = true
		s.SignedData, err = readCMS(m.Header, m.Body)
	default:
		return nil, ErrNotSigned
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// ClaimsSigned tells whether a header says that the message is signed as a whole,
// so that ReadSigned may have something to read.
func ClaimsSigned(h *Header) bool {
	kind, params, err := mediaType(h)
	switch {
	case err != nil:
		return false
	case kind == "multipart/signed":
		return isSignatureType(params["protocol"])
	case kind == "application/pkcs7-mime", kind == "application/x-pkcs7-mime":
		return strings.EqualFold(params["smime-type"], "signed-data")
	}
	return false
}

// mediaType reads the Content-Type. Continued and encoded parameters (RFC 2231),
// which not everybody knows, are refused where they matter.
func mediaType(h *Header) (kind string, params map[string]string, err error) {
	value := h.Get("Content-Type")
	kind, params, err = mime.ParseMediaType(value)
	lower := strings.ToLower(value)
	switch {
	case err != nil && (strings.Contains(lower, "signed") || strings.Contains(lower, "pkcs7")):
		return "", nil, &MalformedError{"the Content-Type cannot be read for certain"}
	case err != nil:
		return "", nil, ErrNotSigned
	}
	for _, name := range []string{"boundary*", "protocol*", "smime-type*"} {
		if strings.Contains(lower, name) {
			return "", nil, &MalformedError{"the Content-Type has a parameter in pieces"}
		}
	}
	return kind, params, nil
}

func isSignatureType(kind string) bool {
	return isOneOf(kind, "application/pkcs7-signature", "application/x-pkcs7-signature")
}

// withCRLF looks at the first line to tell how lines end.
func withCRLF(r io.Reader) (io.Reader, error) {
	b := bufio.NewReaderSize(r, 4096)
	start, err := b.Peek(4096)
	if err != nil && err != io.EOF {
		return nil, err
	}
	if i := bytes.IndexByte(start, '\n'); i > 0 && start[i-1] == '\r' || i < 0 {
		return b, nil
	}
	return Canonical(b), nil
}

// readMultipart reads the two parts, and what surrounds them.
func readMultipart(m *Message, boundary string) (*cms.SignedData, error) {
	if !isIdentity(transferEncoding(m.Header)) {
		return nil, &MalformedError{"a multipart has a transfer encoding"}
	}
	content := cms.NewDigests()
	text, err := splitSigned(m.Body, boundary, content)
	if err != nil {
		return nil, err
	}
	part, err := ReadMessage(bytes.NewReader(text), Limits{})
	if err != nil {
		return nil, err
	}
	kind, _, err := mime.ParseMediaType(part.Header.Get("Content-Type"))
	if err != nil || !isSignatureType(kind) {
		return nil, &MalformedError{"the second part is no signature"}
	}
	data, err := readCMS(part.Header, part.Body)
	if err != nil {
		return nil, err
	}
	return data, data.Detached(content)
}

// readCMS decodes a body and reads what is in it.
func readCMS(h *Header, body io.Reader) (*cms.SignedData, error) {
	r := cms.NewSignedReader()
	var w io.WriteCloser
	switch encoding := transferEncoding(h); {
	case encoding == "base64":
		w = newStrictBase64(ignoreClose{r})
	case isIdentity(encoding):
		w = &finalNewline{next: ignoreClose{r}}
	default:
		return nil, &MalformedError{fmt.Sprintf("transfer encoding %.20q of a signature", encoding)}
	}
	_, err := io.Copy(w, body)
	if err == nil {
		err = w.Close()
	}
	if errors.Is(err, errBase64) {
		return nil, &MalformedError{"the base64 of the signature is damaged"}
	}
	if err != nil {
		return nil, err
	}
	return r.Close()
}

// ignoreClose is a Writer at the end of a chain of filters.
type ignoreClose struct{ io.Writer }

func (ignoreClose) Close() error { return nil }
