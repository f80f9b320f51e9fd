package ca

import (
	"context"
	"crypto/x509"
	"errors"
	"math/big"
	"strings"
	"sync"
	"time"

	"sealpost/directory/store"
)

// A Source knows what was issued and revoked: *store.Store.
type Source interface {
	// Issued gives the revocation of a serial number, nil when there is none, and
	// store.ErrNotFound for a number that was never given.
	Issued(ctx context.Context, serial *big.Int) (*store.Revocation, error)
	// Revocations are those whose certificates had not expired at since.
	Revocations(ctx context.Context, since time.Time) ([]store.Revocation, error)
	// RevocationCount grows with each revocation.
	RevocationCount(ctx context.Context) (int64, error)
}

const (
	// listLife is how long a list is good: the ten days that the baseline
	// requirements allow, less some for the clocks of others.
	listLife = 7 * 24 * time.Hour
	// listAge is after how long a list is made anew, changed or not.
	listAge = 24 * time.Hour
	// lookEvery is how often the source is asked whether there is more.
	lookEvery = time.Second
	// listPast is how long an expired certificate stays on the list: RFC 5280 section
	// 3.3 wants it on one list after its time.
	listPast = 30 * 24 * time.Hour
)

// List makes the list of revoked certificates (RFC 5280 section 5), and gives its
// DER.
func (a *Authority) List(ctx context.Context, source Source) ([]byte, error) {
	l, err := a.list(ctx, source)
	return l.der, err
}

// A list is one that was made.
type list struct {
	der  []byte
	made time.Time
	of   int64 // revocations that there were
}

func (a *Authority) list(ctx context.Context, source Source) (list, error) {
	now := a.opts.Clock().UTC().Truncate(time.Second)
	n, err := source.RevocationCount(ctx) // first: what comes in between is told twice
	if err != nil {
		return list{}, err
	}
	revoked, err := source.Revocations(ctx, now.Add(-listPast))
	if err != nil {
		return list{}, err
	}
	t := &x509.RevocationList{Number: listNumber(a.opts.Clock()), ThisUpdate: now, NextUpdate: now.Add(listLife)}
	for _, r := range revoked {
		t.RevokedCertificateEntries = append(t.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: r.Serial, RevocationTime: r.At, ReasonCode: reasonCode(r.Why)})
	}
	der, err := x509.CreateRevocationList(a.opts.Rand, t, a.issuer, a.signer)
	return list{der, now, n}, err
}

// Reasons are the words with which the explanation of a revocation may begin, as
// in "key-compromise: the laptop was stolen", so that CRL and OCSP say so too.
func Reasons() []string {
	return []string{"key-compromise", "affiliation-changed", "superseded", "cessation-of-operation", "privilege-withdrawn"}
}

// reasonCode finds the reason (RFC 5280 section 5.3.1) in an explanation; 0 when it
// says none.
func reasonCode(why string) int {
	codes := map[string]int{"key-compromise": 1, "affiliation-changed": 3, "superseded": 4, "cessation-of-operation": 5, "privilege-withdrawn": 9}
	word, _, _ := strings.Cut(why, ":")
	return codes[strings.TrimSpace(word)]
}

// A lister keeps the newest list.
type lister struct {
	authority *Authority
	source    Source
	mu        sync.Mutex
	last      list
	looked    time.Time
}

// get gives a list that is good now. While the source is away it is the last one.
func (l *lister) get(ctx context.Context) (list, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.authority.opts.Clock()
	if l.last.der != nil && now.Sub(l.looked) < lookEvery && !now.Before(l.looked) {
		return l.last, nil
	}
	fresh := l.last
	n, err := l.source.RevocationCount(ctx)
	if err == nil && (l.last.der == nil || n != l.last.of || now.Sub(l.last.made) >= listAge || now.Before(l.last.made)) {
		fresh, err = l.authority.list(ctx, l.source)
	}
	if err == nil {
		l.last, l.looked = fresh, now
		return fresh, nil
	}
	if l.last.der == nil || !now.Before(l.last.made.Add(listLife)) {
		return list{}, err
	}
	if !errors.Is(err, context.Canceled) {
		l.authority.opts.Log.Warn("the list of revoked certificates cannot be made anew, and the last one is given", "error", err)
	}
	return l.last, nil
}
