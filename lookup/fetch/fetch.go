// Package fetch is how everything in lookup that speaks HTTP speaks it: few
// redirects and none out of TLS, a token that stays with the server it is for,
// answers of bounded size, and no compression that nobody asked for.
package fetch

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

// Errors of what is asked, and of what was answered.
var (
	ErrURL        = errors.New("lookup: the URL of a source must be https://host/… without user, fragment or placeholders in the host")
	ErrCleartext  = errors.New("lookup: http: is allowed to this machine only; use https:, or allow it explicitly")
	ErrTooLarge   = errors.New("the answer is too large")
	ErrCompressed = errors.New("the answer is compressed, which nobody asked for")
	errRedirects  = errors.New("too many redirects")
	errDowngrade  = errors.New("redirect from https to http")
)

const (
	maxRedirects      = 3
	maxResponseHeader = 64 << 10
	maxDrained        = 64 << 10 // of a body without interest, to keep the connection
)

// Options says how servers are asked.
type Options struct {
	// AllowHTTP lets URLs be http: beyond this machine. Hazard: whoever is on
	// the way can change the answers.
	AllowHTTP   bool
	RootCAs     *x509.CertPool // of the server's TLS certificate; default: the system's
	Timeout     time.Duration  // of connecting, and of the TLS handshake
	Connections int            // to one server at a time
}

// NewClient makes a client that keeps its connections. It has no deadline of
// its own: the context of each request has.
func NewClient(o Options) *http.Client {
	return &http.Client{
		CheckRedirect: o.checkRedirect,
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            (&net.Dialer{Timeout: o.Timeout}).DialContext,
			TLSClientConfig:        &tls.Config{RootCAs: o.RootCAs, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:    o.Timeout,
			ForceAttemptHTTP2:      true,
			DisableCompression:     true, // a bound on the body is then one on memory
			MaxConnsPerHost:        o.Connections,
			MaxIdleConnsPerHost:    o.Connections,
			IdleConnTimeout:        90 * time.Second,
			MaxResponseHeaderBytes: maxResponseHeader,
		},
	}
}

// checkRedirect keeps redirects few and encrypted, and the token with the
// server that it is for.
func (o Options) checkRedirect(req *http.Request, via []*http.Request) error {
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
	return CheckScheme(req.URL, o.AllowHTTP)
}

// CheckScheme lets http: go to this machine only, unless it is allowed. The
// errors are ErrURL and ErrCleartext.
func CheckScheme(u *url.URL, allowHTTP bool) error {
	switch ip := net.ParseIP(u.Hostname()); {
	case u.Scheme == "https":
		return nil
	case u.Scheme != "http":
		return ErrURL
	case allowHTTP, u.Hostname() == "localhost", ip != nil && ip.IsLoopback():
		return nil
	}
	return ErrCleartext
}

// ReadBody reads a whole answer of at most so many bytes. The errors are
// ErrTooLarge, ErrCompressed, or that it breaks off.
func ReadBody(resp *http.Response, most int64) ([]byte, error) {
	if resp.Header.Get("Content-Encoding") != "" {
		return nil, ErrCompressed
	}
	if resp.ContentLength > most {
		return nil, ErrTooLarge
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, most+1))
	if err != nil {
		return nil, fmt.Errorf("the answer breaks off: %w", err)
	}
	if int64(len(body)) > most {
		return nil, ErrTooLarge
	}
	return body, nil
}

// Drain reads a body that is of no interest, as far as that keeps the
// connection for less than a new one costs.
func Drain(resp *http.Response) { _, _ = io.CopyN(io.Discard, resp.Body, maxDrained) }

// WithoutURL leaves out what net/http puts in front of each error: the URL may
// be long and have an address in it, and the source's name stands there already.
func WithoutURL(err error) error {
	var urlErr *url.Error
	if errors.As(err, &urlErr) {
		return urlErr.Err
	}
	return err
}
