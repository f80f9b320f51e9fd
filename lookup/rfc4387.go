package lookup

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"strings"

	"sealpost/internal/certificate"
)

// RFC4387Options says how a certificate store is asked.
type RFC4387Options struct {
	// HTTPOptions, where URL is that of the store, without a query:
	// https://keys.example/certificates/search.cgi.
	HTTPOptions
	// Attribute is the one of the query: uri, which for S/MIME is the mail
	// address (RFC 4387 section 2.2), or email, as some stores call it.
	// Default: uri.
	Attribute string
}

// ErrAttribute is the error of NewRFC4387 about the attribute.
var ErrAttribute = errors.New("lookup: the attribute of a certificate store is uri or email")

// NewRFC4387 makes a source of a certificate store (RFC 4387). It asks with
// GET URL?uri=ADDRESS. One certificate comes as application/pkix-cert, several
// as multipart/mixed of such; certs-only PKCS #7 is taken too. Status 404 is
// None; for everything else see HTTP. The errors are those of NewHTTP, and
// ErrAttribute.
func NewRFC4387(opts RFC4387Options) (*HTTP, error) {
	switch opts.Attribute {
	case "":
		opts.Attribute = "uri"
	case "uri", "email":
	default:
		return nil, ErrAttribute
	}
	if strings.ContainsAny(opts.URL, "?#{}") {
		return nil, ErrURL
	}
	opts.URL += "?" + opts.Attribute + "={address}"
	h, err := NewHTTP(opts.HTTPOptions)
	if err != nil {
		return nil, err
	}
	h.store = true
	return h, nil
}

// Why a multipart answer is not believed.
var (
	errPart     = errors.New("the answer has a part that is not certificates")
	errEncoding = errors.New("the answer has a part in another encoding than binary (RFC 4387 section 2)")
)

// readParts reads multipart/mixed, whole or not at all: a part that is missing
// may be the one.
func readParts(body []byte, boundary string, most int) ([]*certificate.Certificate, error) {
	var all []*certificate.Certificate
	var errs []error
	r := multipart.NewReader(bytes.NewReader(body), boundary)
	for n := 0; ; n++ {
		part, err := r.NextRawPart()
		switch {
		case err == io.EOF && n > 0: // the last boundary; an end without it is a wrapped one
			return all, errors.Join(errs...)
		case err != nil:
			return nil, fmt.Errorf("the answer breaks off: %w", err)
		case n == most:
			return nil, errTooMany
		}
		kind, _, err := mime.ParseMediaType(part.Header.Get("Content-Type"))
		if err != nil || !holdsCertificates(kind) {
			return nil, errPart
		}
		switch strings.ToLower(part.Header.Get("Content-Transfer-Encoding")) {
		case "", "binary", "8bit", "7bit":
		default:
			return nil, errEncoding
		}
		content, err := io.ReadAll(part)
		if err != nil {
			return nil, fmt.Errorf("the answer breaks off: %w", err)
		}
		certs, err := certificate.ParseAll(content)
		if err != nil {
			errs = append(errs, fmt.Errorf("part %d: %w", n+1, err))
		}
		all = append(all, certs...)
	}
}
