// Package outbound fetches what certificates point to: revocation lists, OCSP
// answers, certificates of issuers. The URLs were written by strangers, and so
// everything is bounded: size, time, redirects, how many at once, and which
// addresses are connected to at all. Nothing in this package believes what it
// fetches.
package outbound

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
)

const (
	maxURL       = 2048
	maxRedirects = 3
	maxHeader    = 16 << 10
	small        = 1 << 20 // bytes of one answer that need no turn among the large ones
)

// Options bound what a Client does. The zero value of each has a default.
type Options struct {
	Timeout     time.Duration                         // of one fetch, redirects and body included, default 1 min
	Networks    []netip.Prefix                        // beyond the public Internet, that may be connected to
	Concurrency int                                   // fetches at a time, default 16
	PerHost     int                                   // of one host, default 4
	Proxy       func(*http.Request) (*url.URL, error) // default: as the environment says (HTTP_PROXY, NO_PROXY)
	Clock       func() time.Time                      // default: time.Now
}

// A Client fetches. It may be used by many goroutines at once.
type Client struct {
	opts   Options
	client http.Client
	direct *http.Transport
	proxy  *http.Transport
	all    *semaphore.Weighted
	large  *semaphore.Weighted // whoever holds it reads more than a small answer

	mu    sync.Mutex
	hosts map[string]*host
}

// An Answer is what a server sent with status 200, or 304.
type Answer struct {
	Body      []byte
	Unchanged bool   // what Request.ETag or Request.Modified described is still there
	ETag      string // for the next Request
	Modified  string
}

// A Request is a GET, or a POST of Body.
type Request struct {
	URL            string
	Max            int64  // bytes of the answer
	Body           []byte // of a POST; nil: GET
	Type, Accept   string // of the body, of the answer
	ETag, Modified string // of an earlier Answer
}

// New makes a client; it does not connect. Close it after use.
func New(opts Options) *Client {
	if opts.Timeout <= 0 {
		opts.Timeout = time.Minute
	}
	if opts.Concurrency <= 0 {
		opts.Concurrency = 16
	}
	if opts.PerHost <= 0 {
		opts.PerHost = 4
	}
	if opts.Proxy == nil {
		opts.Proxy = http.ProxyFromEnvironment
	}
	if opts.Clock == nil {
		opts.Clock = time.Now
	}
	c := &Client{
		opts: opts, hosts: map[string]*host{},
		all: semaphore.NewWeighted(int64(opts.Concurrency)), large: semaphore.NewWeighted(1),
	}
	dialer := &net.Dialer{Timeout: min(opts.Timeout, 10*time.Second)}
	guarded := *dialer
	guarded.Control = c.control
	c.direct = c.transport(guarded.DialContext)
	c.proxy = c.transport(dialer.DialContext)
	c.proxy.Proxy, c.proxy.MaxConnsPerHost = opts.Proxy, opts.Concurrency
	c.client = http.Client{Transport: roundTripper{c}, CheckRedirect: checkRedirect}
	return c
}

func (c *Client) transport(dial func(context.Context, string, string) (net.Conn, error)) *http.Transport {
	return &http.Transport{
		DialContext:            dial,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    min(c.opts.Timeout, 10*time.Second),
		DisableCompression:     true, // a bound on the body is then one on memory
		MaxConnsPerHost:        c.opts.PerHost,
		MaxIdleConnsPerHost:    c.opts.PerHost,
		MaxIdleConns:           c.opts.Concurrency,
		IdleConnTimeout:        time.Minute,
		MaxResponseHeaderBytes: maxHeader,
	}
}

// Close closes the idle connections.
func (c *Client) Close() {
	c.direct.CloseIdleConnections()
	c.proxy.CloseIdleConnections()
}

func checkRedirect(req *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return ErrRedirect
	}
	if req.Method != via[0].Method { // the body of a POST would be lost
		return fmt.Errorf("%w: redirected to another method", ErrStatus)
	}
	return checkURL(req.URL)
}

// roundTripper chooses between the way through a proxy and the direct one,
// anew for each redirect.
type roundTripper struct{ *Client }

// RoundTrip sends one request.
func (r roundTripper) RoundTrip(req *http.Request) (*http.Response, error) {
	proxy, err := r.opts.Proxy(req)
	if err != nil {
		return nil, err
	}
	if proxy == nil {
		return r.direct.RoundTrip(req)
	}
	if err := r.checkProxied(req.URL); err != nil {
		return nil, err
	}
	return r.proxy.RoundTrip(req)
}

// Fetch sends a request and reads the answer. It waits for a turn; a server
// that failed a moment ago is not asked.
func (c *Client) Fetch(ctx context.Context, r Request) (Answer, error) {
	u, err := url.Parse(r.URL)
	if err != nil {
		return Answer{}, ErrURL
	}
	if err := checkURL(u); err != nil {
		return Answer{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.opts.Timeout)
	defer cancel()
	leave, err := c.enter(ctx, u.Host)
	if err != nil {
		return Answer{}, err
	}
	a, err := c.exchange(ctx, r)
	leave(err)
	return a, err
}

func (c *Client) exchange(ctx context.Context, r Request) (Answer, error) {
	method, body := http.MethodGet, io.Reader(nil)
	if r.Body != nil {
		method, body = http.MethodPost, bytes.NewReader(r.Body)
	}
	req, err := http.NewRequestWithContext(ctx, method, r.URL, body)
	if err != nil {
		return Answer{}, ErrURL
	}
	for name, value := range map[string]string{
		"User-Agent": "sealpost", "Content-Type": r.Type, "Accept": r.Accept, "If-None-Match": r.ETag, "If-Modified-Since": r.Modified,
	} {
		if value != "" {
			req.Header.Set(name, value)
		}
	}
	resp, err := c.client.Do(req)
	if err != nil {
		return Answer{}, err
	}
	defer resp.Body.Close()
	a := Answer{ETag: resp.Header.Get("ETag"), Modified: resp.Header.Get("Last-Modified")}
	switch {
	case resp.StatusCode == http.StatusNotModified && r.ETag+r.Modified != "":
		a.Unchanged = true
		return a, nil
	case resp.StatusCode != http.StatusOK:
		return Answer{}, fmt.Errorf("%w: %q", ErrStatus, resp.Status)
	case resp.ContentLength > r.Max:
		return Answer{}, fmt.Errorf("%w: %d bytes, and the bound is %d", ErrTooLarge, resp.ContentLength, r.Max)
	}
	a.Body, err = c.read(ctx, resp, r.Max)
	return a, err
}

// read reads a body. Large ones take turns, so that the memory for them is
// that of one.
func (c *Client) read(ctx context.Context, resp *http.Response, limit int64) ([]byte, error) {
	var b bytes.Buffer
	first := min(limit+1, small)
	n, err := io.CopyN(&b, resp.Body, first)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("the answer breaks off: %w", err)
	}
	if n == first && n <= limit {
		if err := c.large.Acquire(ctx, 1); err != nil {
			return nil, err
		}
		defer c.large.Release(1)
		if resp.ContentLength > 0 {
			b.Grow(int(resp.ContentLength) - b.Len() + bytes.MinRead) // at most limit, as was seen
		}
		if _, err := b.ReadFrom(io.LimitReader(resp.Body, limit+1-n)); err != nil {
			return nil, fmt.Errorf("the answer breaks off: %w", err)
		}
	}
	if int64(b.Len()) > limit {
		return nil, fmt.Errorf("%w: the bound is %d bytes", ErrTooLarge, limit)
	}
	return b.Bytes(), nil
}
