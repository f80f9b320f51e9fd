package lookup

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"sealpost/internal/address"
	"sealpost/internal/reason"
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

const (
	maxRedirects      = 3
	maxResponseHeader = 64 << 10
	maxDrained        = 64 << 10 // of a body without interest, to keep the connection
	maxTokenFile      = 16 << 10
)

// HTTP asks a key server with GET, and takes its answer by Content-Type:
//
//   - application/pkix-cert and its older names, application/x-pem-file,
//     application/pem-certificate-chain: certificates, DER or PEM;
//   - application/pkcs7-mime, application/x-pkcs7-certificates: certs-only
//     PKCS #7;
//   - application/json: see readJSON.
//
// Status 404 is None. Everything else that is not 200 with at least one
// readable certificate is Unavailable: other statuses, other types, a body
// that is too large, compressed, cut short or garbage, and redirects beyond
// three or from https: to http:.
type HTTP struct {
	opts   HTTPOptions
	token  string
	client *http.Client
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
	if h.token, err = readToken(opts.TokenFile); err != nil {
		return nil, err
	}
	h.client = &http.Client{
		CheckRedirect: h.checkRedirect,
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            (&net.Dialer{Timeout: opts.Timeout}).DialContext,
			TLSClientConfig:        &tls.Config{RootCAs: opts.RootCAs, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:    opts.Timeout,
			ForceAttemptHTTP2:      true,
			DisableCompression:     true, // a bound on the body is then one on memory
			MaxConnsPerHost:        opts.Connections,
			MaxIdleConnsPerHost:    opts.Connections,
			IdleConnTimeout:        90 * time.Second,
			MaxResponseHeaderBytes: maxResponseHeader,
		},
	}
	return h, nil
}

// Close closes the idle connections.
func (h *HTTP) Close() { h.client.CloseIdleConnections() }

func readToken(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("lookup: bearer token: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxTokenFile))
	if err != nil {
		return "", fmt.Errorf("lookup: bearer token: %w", err)
	}
	token := strings.TrimSpace(string(data))
	if token == "" || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", fmt.Errorf("lookup: bearer token: %s does not hold one line of visible ASCII", path)
	}
	return token, nil
}

var (
	errRedirects = errors.New("too many redirects")
	errDowngrade = errors.New("redirect from https to http")
)

// checkRedirect keeps redirects few and encrypted, and the token with the
// server that it is for.
func (h *HTTP) checkRedirect(req *http.Request, via []*http.Request) error {
	first := via[0].URL
	switch {
	case len(via) > maxRedirects:
		return errRedirects
	case req.URL.Scheme != "https" && via[len(via)-1].URL.Scheme == "https":
		return errDowngrade
	}
	if req.URL.Host != first.Host || req.URL.Scheme != first.Scheme {
		req.Header.Del("Authorization")
	}
	return h.checkScheme(req.URL)
}

// Lookup asks the server.
func (h *HTTP) Lookup(ctx context.Context, addr address.Address) Answer {
	a, err := h.get(ctx, addr)
	if err != nil {
		return failed(reason.LookupUnavailable, withoutURL(err))
	}
	return a
}

// withoutURL leaves out what net/http puts in front of each error: the URL may
// be long, and the source's name stands there already.
func withoutURL(err error) error {
	var urlErr *url.Error
	if errors.As(err, &urlErr) {
		return urlErr.Err
	}
	return err
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
		_, _ = io.CopyN(io.Discard, resp.Body, maxDrained) // only for the connection's sake
		if resp.StatusCode == http.StatusNotFound {
			return none(), nil
		}
		return Answer{}, fmt.Errorf("the server answered %q", resp.Status)
	}
	return h.read(resp, addr)
}
