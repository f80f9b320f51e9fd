package lookup

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"

	"sealpost/internal/certificate"
	"sealpost/lookup/outbound"
)

const (
	maxIssuerFile  = 256 << 10 // bytes
	maxIssuerURLs  = 2         // of one certificate
	issuersKept    = 1000      // URLs
	issuerTTL      = 24 * time.Hour
	issuerRetry    = 5 * time.Minute
	maxIssuersEach = 8 // of one URL
)

// AIA fetches issuers' certificates from where certificates say they are. The
// URLs come from certificates that nobody has verified yet: the Client is what
// keeps strangers from choosing where we connect to.
type AIA struct {
	client  *outbound.Client
	clock   func() time.Time
	kept    *lru.Cache[string, fetchedIssuers]
	flights singleflight.Group
	ctx     context.Context // of the fetches, which no caller's leaving ends
	cancel  context.CancelFunc

	fetches, failures atomic.Uint64
}

type fetchedIssuers struct {
	certs []*x509.Certificate
	err   error
	until time.Time
}

// NewAIA makes an IssuerFinder that remembers what it fetched for a day, and a
// failure for five minutes. clock may be nil. Close ends what runs in it.
func NewAIA(client *outbound.Client, clock func() time.Time) *AIA {
	if clock == nil {
		clock = time.Now
	}
	kept, _ := lru.New[string, fetchedIssuers](issuersKept)
	a := &AIA{client: client, clock: clock, kept: kept}
	a.ctx, a.cancel = context.WithCancel(context.Background())
	return a
}

// Close ends the fetches under way.
func (a *AIA) Close() { a.cancel() }

// Issuers gives what the first URL that answers has.
func (a *AIA) Issuers(ctx context.Context, cert *x509.Certificate) ([]*x509.Certificate, error) {
	var errs []error
	for _, url := range cert.IssuingCertificateURL[:min(len(cert.IssuingCertificateURL), maxIssuerURLs)] {
		f := a.get(ctx, url)
		if f.err == nil {
			return f.certs, nil
		}
		errs = append(errs, fmt.Errorf("%.200q: %w", url, f.err))
	}
	return nil, errors.Join(errs...)
}

// Stats counts fetches and those that failed, since the start.
func (a *AIA) Stats() (fetches, failures uint64) { return a.fetches.Load(), a.failures.Load() }

// get waits for as long as ctx allows; the fetch goes on after that, for the
// next who asks.
func (a *AIA) get(ctx context.Context, url string) fetchedIssuers {
	if f, ok := a.kept.Get(url); ok && a.clock().Before(f.until) {
		return f
	}
	landed := a.flights.DoChan(url, func() (any, error) {
		f := fetchedIssuers{until: a.clock().Add(issuerTTL)}
		a.fetches.Add(1)
		if f.certs, f.err = a.fetch(url); f.err != nil {
			a.failures.Add(1)
			f.until = a.clock().Add(issuerRetry)
		}
		a.kept.Add(url, f)
		return f, nil
	})
	select {
	case r := <-landed:
		return r.Val.(fetchedIssuers)
	case <-ctx.Done():
		return fetchedIssuers{err: ctx.Err()}
	}
}

// fetch reads DER, PEM or certs-only PKCS #7 (RFC 5280 section 4.2.2.1).
func (a *AIA) fetch(url string) (found []*x509.Certificate, err error) {
	defer func() { // nobody above would catch it, and a stranger wrote what is read
		if p := recover(); p != nil {
			found, err = nil, fmt.Errorf("internal error: %v", p)
		}
	}()
	answer, err := a.client.Fetch(a.ctx, outbound.Request{
		URL: url, Max: maxIssuerFile, Accept: "application/pkix-cert, application/pkcs7-mime, */*;q=0.1",
	})
	if err != nil {
		return nil, err
	}
	all, err := certificate.ParseAll(answer.Body)
	for _, c := range all {
		if !c.IsCA || c.KeyBits > certificate.MaxRSABits || len(found) == maxIssuersEach {
			continue
		}
		if x, err := c.X509(); err == nil {
			found = append(found, x)
		}
	}
	switch {
	case len(found) > 0:
		return found, nil
	case err == nil:
		err = errNoIssuer
	}
	return nil, err
}

var errNoIssuer = errors.New("no usable certificate of an authority inside")
