package smime

import (
	"bytes"
	"crypto"
	"errors"
	"io"
	"mime"
	"strings"

	"sealpost/internal/certificate"
	"sealpost/smime/cms"
)

// ErrNotEnveloped says that a message is not one that Open opens, by its
// header.
var ErrNotEnveloped = errors.New("message is not enveloped S/MIME (application/pkcs7-mime)")

// OpenOptions say whose message is opened.
type OpenOptions struct {
	Certificate *certificate.Certificate
	Key         crypto.PrivateKey // *rsa.PrivateKey, *ecdsa.PrivateKey or *ecdh.PrivateKey
	MaxSize     int64             // bytes of encrypted content; 0 is cms.DefaultMaxSize
}

// Open reads a sealed message, decrypts it and gives the entity inside. The
// lines of its header, and of its base64, may end in CRLF or LF. All of the
// entity is held in memory.
//
// The error is a *MalformedError or ErrNotEnveloped for a message that is not a
// sealed one, and otherwise that of cms.Open: cms.ErrNoRecipient,
// cms.ErrDecrypt, cms.ErrTooLarge or a *cms.FormatError.
func Open(r io.Reader, opts OpenOptions) ([]byte, error) {
	m, err := ReadMessage(&canonical{src: r, headerOnly: true}, Limits{})
	if err != nil {
		return nil, err
	}
	if Claims(m.Header) != EnvelopedSMIME && !isNamedP7M(m.Header) {
		return nil, ErrNotEnveloped
	}
	content := &filtered{src: m.Body}
	if transferEncoding(m.Header) == "base64" {
		content.filter = newStrictBase64(bufferCloser{&content.out})
	} else {
		content.filter = &finalNewline{next: bufferCloser{&content.out}}
	}
	return cms.Open(content, cms.OpenOptions{Certificate: opts.Certificate, Key: opts.Key, MaxSize: opts.MaxSize})
}

// isNamedP7M accepts what a gateway that does not know S/MIME may have made of
// it (RFC 8551 section 3.2.1).
func isNamedP7M(h *Header) bool {
	kind, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil || kind != "application/octet-stream" {
		return false
	}
	name := params["name"]
	if _, params, err = mime.ParseMediaType(h.Get("Content-Disposition")); err == nil && name == "" {
		name = params["filename"]
	}
	return strings.HasSuffix(strings.ToLower(name), ".p7m")
}

// A filtered reads src through a filter that writes to out.
type filtered struct {
	src    io.Reader
	filter io.WriteCloser
	in     [16 << 10]byte
	out    bytes.Buffer
	err    error
}

func (f *filtered) Read(p []byte) (int, error) {
	for f.out.Len() == 0 && f.err == nil {
		f.err = f.fill()
	}
	if f.out.Len() == 0 {
		return 0, f.err
	}
	return f.out.Read(p)
}

func (f *filtered) fill() error {
	n, err := f.src.Read(f.in[:])
	if _, err := f.filter.Write(f.in[:n]); err != nil {
		return err
	}
	if err != io.EOF {
		return err
	}
	if err := f.filter.Close(); err != nil {
		return err
	}
	return io.EOF
}

// A bufferCloser is a Buffer at the end of a chain of filters.
type bufferCloser struct{ *bytes.Buffer }

func (bufferCloser) Close() error { return nil }
