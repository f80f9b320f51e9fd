package lookup

import (
	"context"
	"crypto/x509"
	"fmt"
	"net/http"
	"time"

	"sealpost/internal/address"
	"sealpost/internal/reason"
	"sealpost/lookup/fetch"
)

// HTTPOptions says how a key server is asked.
type HTTPOptions struct {
	// URL has {address} in its path or query, and may have {domain} there. They
	// stand for the address with its domain in lower case and A-labels, and for
	// that domain, escaped as their place wants it.
	URL string
	// AllowHTTP lets the URL be http: beyond this machine. Hazard: whoever is on
	// the way can make every address have no certificate.
	AllowHTTP       bool
	TokenFile       string         // holds a bearer token; default: none is sent
	RootCAs         *x509.CertPool // of the server's TLS certificate; default: the system's
	Timeout         time.Duration  // of one lookup, redirects and body included, default 3 s
	Connections     int            // to one server at a time, default 16
	MaxAnswer       int64          // bytes, default 1 MiB
	MaxCertificates int            // in one answer, default 32
}

// HTTP asks a key server with GET, and takes its answer by Content-Type:
//
//   - application/pkix-cert and its older names, application/x-pem-file,
//     application/pem-certificate-chain: certificates, DER or PEM;
//   - application/pkcs7-mime, application/x-pkcs7-certificates: certs-only
//     PKCS #7;
//   - multipart/mixed: parts of these types;
//   - application/json: see keydb.ReadAnswer.
//
// Status 404 is None. Everything else that is not 200 with at least one
// readable certificate is Unavailable: other statuses, other types, a body
// that is too large, compressed, cut short or garbage, and redirects beyond
// three or from https: to http:.
type HTTP struct {
	opts   HTTPOptions
	token  string
	client *http.Client
	store  bool // an RFC 4387 certificate store, which does not speak JSON
}

// NewHTTP checks the options; it does not connect. The errors are ErrURL,
// ErrNoAddressInURL, ErrCleartextURL, or about the token file.
func NewHTTP(opts HTTPOptions) (*HTTP, error) {
	opts.Timeout = orDefault(opts.Timeout, 3*time.Second)
	if opts.Connections <= 0 {
		opts.Connections = 16
	}
	if opts.MaxAnswer <= 0 {
		opts.MaxAnswer = 1 << 20
	}
	if opts.MaxCertificates <= 0 {
		opts.MaxCertificates = 32
	}
	h := &HTTP{opts: opts}
	if err := h.checkTemplate(); err != nil {
		return nil, err
	}
	var err error
	if h.token, err = fetch.ReadToken(opts.TokenFile); err != nil {
		return nil, err
	}
	h.client = fetch.NewClient(fetch.Options{
		AllowHTTP: opts.AllowHTTP, RootCAs: opts.RootCAs, Timeout: opts.Timeout, Connections: opts.Connections,
	})
	return h, nil
}

// Close closes the idle connections.
func (h *HTTP) Close() { h.client.CloseIdleConnections() }

// Lookup asks the server.
func (h *HTTP) Lookup(ctx context.Context, addr address.Address) Answer {
	a, err := h.get(ctx, addr)
	if err != nil {
		return failed(reason.LookupUnavailable, fetch.WithoutURL(err))
	}
	return a
}

func (h *HTTP) get(ctx context.Context, addr address.Address) (Answer, error) {
	if addr.IsNull() {
		return Answer{}, address.ErrSyntax
	}
	ctx, cancel := context.WithTimeout(ctx, h.opts.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, h.expand(addr), nil)
	if err != nil {
		return Answer{}, err
	}
	req.Header.Set("Accept", "application/json, application/pkix-cert, application/pkcs7-mime, application/x-pem-file")
	if h.store {
		req.Header.Set("Accept", "application/pkix-cert, application/pkcs7-mime, multipart/mixed")
	}
	req.Header.Set("User-Agent", "sealpost")
	if h.token != "" {
		req.Header.Set("Authorization", "Bearer "+h.token)
	}
	resp, err := h.client.Do(req)
	if err != nil {
		return Answer{}, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		fetch.Drain(resp)
		if resp.StatusCode == http.StatusNotFound {
			return none(), nil
		}
		return Answer{}, fmt.Errorf("the server answered %q", resp.Status)
	}
	return h.read(resp, addr)
}
