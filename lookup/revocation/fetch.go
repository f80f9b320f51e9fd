package revocation

import (
	"bytes"
	"errors"
	"fmt"
	"math/big"
	"runtime/debug"
	"time"

	"sealpost/lookup/outbound"
)

var errTooMuch = errors.New("it needs more memory than all lists together may have")

// A landing is what a flight brought.
type landing struct {
	list           *list
	answer         *answer
	etag, modified string
	unchanged      bool
	kept           bool // on disk; nothing was fetched
	fetched        time.Time
	err            error
}

// fetch is one flight.
func (c *Checker) fetch(e *entry) {
	defer c.running.Done()
	c.mu.Lock()
	old, etag, modified, first := e.list, e.etag, e.modified, e.list == nil && e.err == nil
	c.mu.Unlock()
	var l landing
	if e.cert != nil {
		l = c.fetchAnswer(e)
	} else if l = c.load(e, first); l.list == nil {
		l = c.fetchList(e, old, etag, modified)
	}
	if l.err != nil && c.ctx.Err() == nil {
		c.opts.Log.Warn("revocation: cannot be fetched", "url", e.url, "error", l.err)
	}
	news := c.land(e, l)
	if news != nil && c.opts.Withdrawn != nil {
		c.opts.Withdrawn(news)
	}
}

// guarded turns a panic in reading what a stranger sent into an error.
func (c *Checker) guarded(read func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			c.opts.Log.Error("revocation: reading an answer panicked", "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("%w: internal error", errMalformed)
		}
	}()
	return read()
}

func (c *Checker) fetchList(e *entry, old *list, etag, modified string) (l landing) {
	r := outbound.Request{URL: e.url, Max: c.opts.MaxList, Accept: "application/pkix-crl, */*;q=0.1"}
	if old.current(c.opts.Clock()) {
		r.ETag, r.Modified = etag, modified
	}
	a, err := c.opts.Client.Fetch(c.ctx, r)
	l = landing{etag: a.ETag, modified: a.Modified, unchanged: a.Unchanged, fetched: c.opts.Clock(), err: err}
	if err != nil || a.Unchanged {
		return l
	}
	if l.list, l.err = c.read(a.Body, e, l.fetched); l.err == nil {
		l.err = l.list.replaces(old)
	}
	if l.err != nil {
		l.list = nil
		return l
	}
	c.save(e, a.Body)
	return l
}

// read reads a list. Large ones take turns: what they take meanwhile is a
// multiple of what they take in the end.
func (c *Checker) read(data []byte, e *entry, now time.Time) (l *list, err error) {
	const large = 1 << 20
	if len(data) > large {
		c.reading.Lock()
		defer c.reading.Unlock()
	}
	err = c.guarded(func() (err error) {
		if l, err = readList(data, e.issuer, now); err == nil && l.size() > c.opts.Memory {
			err = errTooMuch
		}
		return err
	})
	return l, err
}

func (c *Checker) fetchAnswer(e *entry) (l landing) {
	a, err := c.opts.Client.Fetch(c.ctx, outbound.Request{
		URL: e.url, Max: maxAnswer, Body: e.ask, Type: "application/ocsp-request", Accept: "application/ocsp-response",
	})
	l = landing{fetched: c.opts.Clock(), err: err}
	if err != nil {
		return l
	}
	l.err = c.guarded(func() (err error) {
		l.answer, err = readAnswer(a.Body, e.cert, e.issuer, l.fetched)
		return err
	})
	return l
}

// land puts what a flight brought into its entry. news is not nil when
// certificates were withdrawn that were not before.
func (c *Checker) land(e *entry, l landing) (news func([]byte, *big.Int) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flying--
	close(e.flight)
	e.flight = nil
	if !l.kept {
		c.count(e, l.err)
	}
	now := c.opts.Clock()
	if l.unchanged && !e.list.current(now) {
		l.err = errExpired
	}
	if l.err == nil && e.answer != nil && l.answer != nil && l.answer.from.Before(e.answer.from) {
		l.err = errOlder
	}
	if e.err = l.err; l.err != nil {
		e.failures++
		e.next = now.Add(pause(e.failures))
		return nil
	}
	e.failures = 0
	switch {
	case l.answer != nil:
		news = c.putAnswer(e, l.answer)
		e.next = c.due(now, l.answer.verdict.Until)
	case l.list != nil:
		news = c.putList(e, l)
		e.next = c.due(l.fetched, l.list.to)
	default:
		e.next = c.due(now, e.list.to)
	}
	return news
}

func (c *Checker) count(e *entry, err error) {
	fetches, failures := &c.stats.ListFetches, &c.stats.ListFailures
	if e.cert != nil {
		fetches, failures = &c.stats.AnswerFetches, &c.stats.AnswerFailures
	}
	*fetches++
	if err != nil {
		*failures++
	}
}

func (c *Checker) putAnswer(e *entry, a *answer) (news func([]byte, *big.Int) bool) {
	before := e.answer != nil && e.answer.verdict.Status == Revoked
	e.answer = a
	if key := serialKey(e.issuer.RawSubject, integer(e.cert.SerialNumber)); a.verdict.Status == Revoked {
		c.refused.Add(key, true)
	} else {
		c.refused.Remove(key)
	}
	if before || a.verdict.Status != Revoked {
		return nil
	}
	if e.authority {
		return everything
	}
	issuer, serial := e.issuer.RawSubject, e.cert.SerialNumber
	return func(i []byte, s *big.Int) bool { return s.Cmp(serial) == 0 && bytes.Equal(i, issuer) }
}

// putList keeps a list, and makes room for it: those that were needed least
// recently go.
func (c *Checker) putList(e *entry, l landing) (news func([]byte, *big.Int) bool) {
	old := e.list
	if !c.lists.Contains(e.key) {
		return nil // forgotten meanwhile
	}
	c.memory += l.list.size() - e.size()
	e.list, e.etag, e.modified = l.list, l.etag, l.modified
	for c.memory > c.opts.Memory && c.lists.Len() > 1 {
		key, _, _ := c.lists.GetOldest()
		if key == e.key {
			c.lists.Get(key) // it stays, as the youngest
			continue
		}
		c.lists.Remove(key)
	}
	if l.list.revoked.len() == 0 || old != nil && l.list.revoked.within(&old.revoked) {
		return nil
	}
	for _, key := range c.authorities.Keys() {
		if issuer, serial, ok := splitKey(key, l.list.issuer); ok {
			if _, _, found := l.list.revoked.find(serial); found && bytes.Equal(issuer, l.list.issuer) {
				return everything
			}
		}
	}
	revoked := l.list
	return func(issuer []byte, serial *big.Int) bool {
		_, _, found := revoked.revoked.find(serial)
		return found && bytes.Equal(issuer, revoked.issuer)
	}
}

// everything is what an authority's withdrawal touches: nobody keeps note of
// the chains that led through it.
func everything([]byte, *big.Int) bool { return true }

// splitKey gives the parts of such a key, where it is one of the
// issuer given.
func splitKey(key string, issuer []byte) ([]byte, *big.Int, bool) {
	if len(key) <= len(issuer) || key[:len(issuer)] != string(issuer) || key[len(issuer)] != 0 {
		return nil, nil, false
	}
	return issuer, new(big.Int).SetBytes([]byte(key[len(issuer)+1:])), true
}
