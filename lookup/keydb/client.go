package keydb

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"sealpost/internal/address"
	"sealpost/lookup/fetch"
)

// Options says which directory is asked, and how.
type Options struct {
	URL       string // https://host, and a path where the directory lies below one
	AllowHTTP bool   // let URL be http: beyond this machine; see fetch.Options
	// TokenFile holds a bearer token; it is read again when it has changed.
	// Default: none is sent. Token, if not nil, is asked instead, each time.
	TokenFile   string
	Token       func() (string, error)
	RootCAs     *x509.CertPool // of the directory's TLS certificate; default: the system's
	Timeout     time.Duration  // of one call, redirects and body included, default 3 s
	FeedTimeout time.Duration  // of one page of the feed, beside what it waits for a change, default 60 s
	// ProvisionTimeout is that of Provision, which may have to make a key: default 15 s.
	ProvisionTimeout time.Duration
	Connections      int   // at a time, default 16
	MaxAnswer        int64 // bytes of an answer about one address, default 1 MiB; a batch may have 16 times that
	MaxPage          int64 // bytes of a page of the feed, default 64 MiB
}

func (o Options) withDefaults() Options {
	set := func(d *time.Duration, otherwise time.Duration) {
		if *d <= 0 {
			*d = otherwise
		}
	}
	set(&o.Timeout, 3*time.Second)
	set(&o.FeedTimeout, time.Minute)
	set(&o.ProvisionTimeout, 15*time.Second)
	if o.Connections <= 0 {
		o.Connections = 16
	}
	if o.MaxAnswer <= 0 {
		o.MaxAnswer = 1 << 20
	}
	if o.MaxPage <= 0 {
		o.MaxPage = 64 << 20
	}
	return o
}

// A Client asks one directory. It may be used by many goroutines at once.
type Client struct {
	opts  Options
	base  string
	token func() (string, error)
	http  *http.Client
}

// New checks the options; it does not connect. The errors are fetch.ErrURL,
// fetch.ErrCleartext, or about the token file.
func New(opts Options) (*Client, error) {
	opts = opts.withDefaults()
	u, err := url.Parse(opts.URL)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.ContainsAny(opts.URL, "{}") {
		return nil, fetch.ErrURL
	}
	if err := fetch.CheckScheme(u, opts.AllowHTTP); err != nil {
		return nil, err
	}
	c := &Client{opts: opts, base: strings.TrimSuffix(opts.URL, "/"), token: opts.Token}
	if c.token == nil && opts.TokenFile != "" {
		file, err := fetch.NewTokenFile(opts.TokenFile)
		if err != nil {
			return nil, err
		}
		c.token = file.Token
	}
	c.http = fetch.NewClient(fetch.Options{
		AllowHTTP: opts.AllowHTTP, RootCAs: opts.RootCAs, Timeout: min(opts.Timeout, 30*time.Second), Connections: opts.Connections,
	})
	return c, nil
}

// Close closes the idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// URL is the directory's, as the options gave it.
func (c *Client) URL() string { return c.base }

// Lookup asks for the certificates of an address. The error is ErrNone when
// the directory says that it has none; every other one means that it is not
// known whether there is a certificate.
func (c *Client) Lookup(ctx context.Context, addr address.Address) (Answer, error) {
	if addr.IsNull() {
		return Answer{}, address.ErrSyntax
	}
	resp, done, err := c.do(ctx, c.opts.Timeout, call{
		method: http.MethodGet, path: PathCertificates + "?email=" + url.QueryEscape(addr.Key()), accept: TypeJSON,
	})
	if err != nil {
		return Answer{}, err
	}
	defer done()
	body, err := readJSON(resp, c.opts.MaxAnswer)
	if err != nil {
		return Answer{}, err
	}
	a, err := ReadAnswer(body, addr)
	if err != nil {
		return Answer{}, err
	}
	if len(a.Certificates) == 0 {
		return Answer{}, ErrNone
	}
	return a, nil
}

// Batch asks for up to MaxBatch addresses at once. The items come in their
// order; an item with an error is not known.
func (c *Client) Batch(ctx context.Context, addrs []address.Address) ([]BatchItem, error) {
	request := BatchRequest{Addresses: make([]string, len(addrs))}
	for i, a := range addrs {
		request.Addresses[i] = a.Key()
	}
	resp, done, err := c.post(ctx, PathBatch, request)
	if err != nil {
		return nil, err
	}
	defer done()
	body, err := readJSON(resp, 16*c.opts.MaxAnswer)
	if err != nil {
		return nil, err
	}
	b, err := ReadBatch(body, addrs)
	return b.Answers, err
}

// Changes asks for the page of the feed after a cursor ("" is its beginning),
// of at most limit changes. When there is none yet, the directory is asked to
// wait for one. The error is ErrCursor when the directory does not know the
// cursor. It needs a token with the scope feed.
func (c *Client) Changes(ctx context.Context, cursor string, limit int, wait time.Duration) (Page, error) {
	limit, wait = min(limit, MaxChanges), min(wait, MaxWait)
	query := url.Values{"limit": {strconv.Itoa(limit)}}
	if cursor != "" {
		query.Set("since", cursor)
	}
	if wait >= time.Second {
		query.Set("wait", strconv.Itoa(int(wait/time.Second)))
	}
	resp, done, err := c.do(ctx, c.opts.FeedTimeout+wait, call{
		method: http.MethodGet, path: PathChanges + "?" + query.Encode(), accept: TypeFeed,
	})
	if err != nil {
		return Page{}, err
	}
	defer done()
	if err := checkType(resp, TypeFeed); err != nil {
		return Page{}, err
	}
	body := &io.LimitedReader{R: resp.Body, N: c.opts.MaxPage}
	page, err := ReadPage(body, cursor, limit)
	if err != nil && body.N == 0 {
		err = fetch.ErrTooLarge
	}
	return page, err
}

// Publish adds a certificate. It needs a token with the scope write.
func (c *Client) Publish(ctx context.Context, p Publication) (Added, error) {
	var added Added
	resp, done, err := c.post(ctx, PathCertificates, p)
	if err != nil {
		return added, err
	}
	defer done()
	return added, c.readInto(resp, &added)
}

// Revoke takes a certificate out of use. It needs a token with the scope write.
func (c *Client) Revoke(ctx context.Context, f Fingerprint) error {
	_, done, err := c.do(ctx, c.opts.Timeout, call{method: http.MethodDelete, path: PathCertificates + "/" + f.String(), accept: TypeJSON})
	if err != nil {
		return err
	}
	done()
	return nil
}

// Message gives a signed message to the directory, to learn from. A message
// that teaches nothing is a *Problem with the reason.
func (c *Client) Message(ctx context.Context, message io.Reader) (Learned, error) {
	var learned Learned
	resp, done, err := c.do(ctx, c.opts.Timeout, call{
		method: http.MethodPost, path: PathMessages, accept: TypeJSON, kind: TypeMessage, body: message,
	})
	if err != nil {
		return learned, err
	}
	defer done()
	return learned, c.readInto(resp, &learned)
}

func (c *Client) post(ctx context.Context, path string, request any) (*http.Response, func(), error) {
	return c.postWithin(ctx, c.opts.Timeout, path, request)
}

func (c *Client) postWithin(ctx context.Context, timeout time.Duration, path string, request any) (*http.Response, func(), error) {
	body, err := json.Marshal(request)
	if err != nil {
		return nil, nil, err
	}
	return c.do(ctx, timeout, call{
		method: http.MethodPost, path: path, accept: TypeJSON, kind: TypeJSON, body: bytes.NewReader(body),
	})
}

// A call is one request of the API.
type call struct {
	method, path, accept, kind string
	body                       io.Reader
}

// do sends a request. The response has status 2xx; done must be called when
// its body is read.
func (c *Client) do(ctx context.Context, timeout time.Duration, what call) (resp *http.Response, done func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	resp, err = c.send(ctx, what)
	if err != nil {
		cancel()
		return nil, nil, fetch.WithoutURL(err)
	}
	return resp, func() {
		fetch.Drain(resp)
		resp.Body.Close()
		cancel()
	}, nil
}

func (c *Client) send(ctx context.Context, what call) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, what.method, c.base+what.path, what.body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", what.accept+", "+TypeProblem)
	req.Header.Set("User-Agent", "sealpost")
	if what.kind != "" {
		req.Header.Set("Content-Type", what.kind)
	}
	if c.token != nil {
		token, err := c.token()
		if err != nil {
			return nil, err
		}
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := c.http.Do(req)
	if err != nil || resp.StatusCode/100 == 2 {
		return resp, err
	}
	defer resp.Body.Close()
	return nil, problemOf(resp)
}

// problemOf makes an error of an answer that is none.
func problemOf(resp *http.Response) error {
	const most = 64 << 10
	body, err := fetch.ReadBody(resp, most)
	if err != nil {
		body = nil
	}
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	p := readProblem(resp.StatusCode, kind, body)
	if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && seconds > 0 {
		p.RetryAfter = time.Duration(min(seconds, 24*3600)) * time.Second
	}
	return p
}

func checkType(resp *http.Response, want string) error {
	kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil || kind != want {
		return fmt.Errorf("the answer is %q, not %s", kind, want)
	}
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusCreated {
		return &Problem{Status: resp.StatusCode}
	}
	if resp.Header.Get("Content-Encoding") != "" {
		return fetch.ErrCompressed
	}
	return nil
}

func readJSON(resp *http.Response, most int64) ([]byte, error) {
	if err := checkType(resp, TypeJSON); err != nil {
		return nil, err
	}
	return fetch.ReadBody(resp, most)
}

func (c *Client) readInto(resp *http.Response, into any) error {
	body, err := readJSON(resp, c.opts.MaxAnswer)
	if err != nil {
		return err
	}
	return readWhole(body, into)
}

// IsTemporary reports whether it makes sense to ask again: not where the
// directory itself said no to what was asked.
func IsTemporary(err error) bool {
	var p *Problem
	if !errors.As(err, &p) {
		return !errors.Is(err, ErrNone)
	}
	return p.Status/100 != 4 || p.Status == http.StatusRequestTimeout || p.Status == http.StatusTooManyRequests
}
