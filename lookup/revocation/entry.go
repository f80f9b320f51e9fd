package revocation

import (
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"math/rand/v2"
	"time"
)

// An entry is one list, or one responder's answer about one certificate: what
// was fetched, and when it is fetched again. The Checker's mutex guards it.
type entry struct {
	key       string
	url       string
	issuer    *x509.Certificate
	cert      *x509.Certificate // of an answer: no more of it than the serial number; nil of a list
	authority bool              // of an answer: it is about an authority
	ask       []byte            // of an answer: the request

	list           *list
	answer         *answer
	etag, modified string

	err      error     // of the last fetch
	failures int       // in a row
	needed   time.Time // last
	next     time.Time // no fetch before
	flight   chan struct{}
}

func (e *entry) size() int64 {
	if e.list == nil {
		return 0
	}
	return e.list.size()
}

// problem says why the entry has nothing to say.
func (e *entry) problem() string {
	what := "responder"
	if e.cert == nil {
		what = "list"
	}
	if e.err == nil {
		return fmt.Sprintf("%s %s: not fetched yet", what, e.url)
	}
	return fmt.Sprintf("%s %s: %v", what, e.url, e.err)
}

// keyOf keeps apart what different issuers say at one URL.
func keyOf(url string, issuer *x509.Certificate, serial []byte) string {
	h := sha256.New()
	for _, part := range [][]byte{issuer.RawSubject, issuer.RawSubjectPublicKeyInfo, serial, []byte(url)} {
		fmt.Fprintf(h, "%d:", len(part))
		h.Write(part)
	}
	return string(h.Sum(nil))
}

func (c *Checker) listEntry(url string, issuer *x509.Certificate) *entry {
	key := keyOf(url, issuer, nil)
	if e, ok := c.lists.Get(key); ok {
		return e
	}
	e := &entry{key: key, url: url, issuer: issuer}
	c.lists.Add(key, e)
	return e
}

func (c *Checker) answerEntry(url string, cert, issuer *x509.Certificate) (*entry, error) {
	key := keyOf(url, issuer, integer(cert.SerialNumber))
	if e, ok := c.answers.Get(key); ok {
		return e, nil
	}
	ask, err := request(cert, issuer)
	if err != nil {
		return nil, fmt.Errorf("the responder cannot be asked: %w", err)
	}
	e := &entry{key: key, url: url, issuer: issuer, cert: &x509.Certificate{SerialNumber: cert.SerialNumber}, authority: cert.IsCA, ask: ask}
	c.answers.Add(key, e)
	return e, nil
}

// touch notes that an entry is needed, and fetches it when that is due. It
// gives the flight of a fetch that is worth waiting for: the first.
func (c *Checker) touch(e *entry) <-chan struct{} {
	now := c.opts.Clock()
	e.needed = now
	c.start(e, now)
	if e.flight == nil || e.failures > 0 {
		return nil
	}
	return e.flight
}

// start begins a fetch, if it is due and there is room for one more.
func (c *Checker) start(e *entry, now time.Time) {
	if e.flight != nil || now.Before(e.next) || c.flying >= maxFlights || c.ctx.Err() != nil {
		return
	}
	e.flight = make(chan struct{})
	c.flying++
	c.running.Add(1)
	go c.fetch(e)
}

// due is when a list or an answer is fetched again: ahead of its end, at the
// latest after Refresh, and not with all others at once.
func (c *Checker) due(now, end time.Time) time.Time {
	wait := max(min(end.Sub(now)*4/5, c.opts.Refresh), soonestNext)
	return now.Add(wait - rand.N(wait/10+1))
}

// pause is the time after a failed fetch.
func pause(failures int) time.Duration {
	return min(firstPause<<min(failures-1, 10), longPause)
}

// run fetches again what is due, and forgets what is no longer needed.
func (c *Checker) run() {
	defer c.running.Done()
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			c.refresh()
		case <-c.ctx.Done():
			return
		}
	}
}

func (c *Checker) refresh() {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.opts.Clock()
	for _, e := range c.lists.Values() {
		if e.flight == nil && now.Sub(e.needed) > c.opts.Keep {
			c.lists.Remove(e.key)
			continue
		}
		c.start(e, now)
	}
	for _, e := range c.answers.Values() {
		if e.flight == nil && now.Sub(e.needed) > c.opts.Keep {
			c.answers.Remove(e.key)
			continue
		}
		c.start(e, now)
	}
}
