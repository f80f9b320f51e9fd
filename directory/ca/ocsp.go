package ca

import (
	"bytes"
	"context"
	"crypto"
	_ "crypto/sha1" // by which almost every client names the issuer
	"errors"
	"math/big"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/crypto/ocsp"

	"sealpost/directory/store"
)

const (
	// answerLife is how long an answer of OCSP is good.
	answerLife = 24 * time.Hour
	// answerAge is after how long it is signed anew.
	answerAge = 12 * time.Hour
	// answersKept is how many signed answers are kept; each takes less than 1 KB.
	answersKept = 20000
	// questionsAtOnce is how many may ask the database at a time; one more is told to
	// come again, so that strangers cannot crowd out those who look up addresses.
	questionsAtOnce = 32
)

// A responder answers OCSP (RFC 6960) in the lightweight way of RFC 5019: one
// certificate a request, answers signed ahead, no nonce.
type responder struct {
	authority *Authority
	source    Source
	kept      *lru.Cache[question, answer]
	gate      chan struct{}
}

// A question is what an answer depends on.
type question struct {
	serial  string
	hash    crypto.Hash
	revoked int64 // when; 0: it is not
}

type answer struct {
	der  []byte
	made time.Time
}

func newResponder(a *Authority, source Source) *responder {
	kept, err := lru.New[question, answer](answersKept)
	if err != nil {
		panic(err) // only for a size below 1
	}
	return &responder{a, source, kept, make(chan struct{}, questionsAtOnce)}
}

// respond gives the answer to a request. made is zero for what is not signed.
func (o *responder) respond(ctx context.Context, der []byte) (body []byte, made time.Time) {
	r, err := ocsp.ParseRequest(der)
	if err != nil {
		return ocsp.MalformedRequestErrorResponse, made
	}
	if !o.ours(r) {
		return ocsp.UnauthorizedErrorResponse, made
	}
	select {
	case o.gate <- struct{}{}:
		defer func() { <-o.gate }()
	default:
		return ocsp.TryLaterErrorResponse, made
	}
	revoked, err := o.source.Issued(ctx, r.SerialNumber)
	switch {
	case errors.Is(err, store.ErrNotFound): // RFC 5019 section 2.2.3; and nobody has us sign for nothing
		return ocsp.UnauthorizedErrorResponse, made
	case err != nil:
		o.authority.opts.Log.Warn("ocsp: the database does not answer", "error", err)
		return ocsp.TryLaterErrorResponse, made
	}
	a, err := o.answer(r.SerialNumber, r.HashAlgorithm, revoked)
	if err != nil {
		o.authority.opts.Log.Error("ocsp: cannot sign", "error", err)
		return ocsp.InternalErrorErrorResponse, made
	}
	return a.der, a.made
}

// ours reports that the request names our issuer.
func (o *responder) ours(r *ocsp.Request) bool {
	if !r.HashAlgorithm.Available() {
		return false
	}
	bits, err := keyBits(o.authority.issuer.RawSubjectPublicKeyInfo)
	if err != nil {
		return false
	}
	name, key := r.HashAlgorithm.New(), r.HashAlgorithm.New()
	name.Write(o.authority.issuer.RawSubject)
	key.Write(bits)
	return bytes.Equal(name.Sum(nil), r.IssuerNameHash) && bytes.Equal(key.Sum(nil), r.IssuerKeyHash)
}

// answer takes what was signed before, while it is fresh.
func (o *responder) answer(serial *big.Int, hash crypto.Hash, revoked *store.Revocation) (answer, error) {
	now := o.authority.opts.Clock().UTC().Truncate(time.Second)
	q := question{serial: string(serial.Bytes()), hash: hash}
	t := ocsp.Response{Status: ocsp.Good, SerialNumber: serial, ThisUpdate: now, NextUpdate: now.Add(answerLife), IssuerHash: hash}
	if revoked != nil {
		q.revoked = revoked.At.Unix()
		t.Status, t.RevokedAt, t.RevocationReason = ocsp.Revoked, revoked.At, reasonCode(revoked.Why)
	}
	if a, ok := o.kept.Get(q); ok && now.Sub(a.made) < answerAge && !now.Before(a.made) {
		return a, nil
	}
	der, err := ocsp.CreateResponse(o.authority.issuer, o.authority.issuer, t, o.authority.signer)
	if err != nil {
		return answer{}, err
	}
	a := answer{der, now}
	o.kept.Add(q, a)
	return a, nil
}
