package api

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"sealpost/directory/store"
)

// bearer takes the token out of Authorization (RFC 6750 section 2.1). Another
// scheme counts as a token that is not known.
func bearer(h http.Header) (secret string, given bool) {
	v := h.Get("Authorization")
	if v == "" {
		return "", false
	}
	scheme, secret, _ := strings.Cut(v, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", true
	}
	return strings.TrimSpace(secret), true
}

func isUnknownToken(err error) bool { return errors.Is(err, store.ErrToken) }

// How long a token that was found good is not looked up again, which is how
// long a deleted one may still work.
const (
	tokenMemory = 5 * time.Second
	tokenTable  = 1024
	maxSecret   = 512 // bytes
)

// tokens remembers good tokens for a moment, so that a billing run does not
// ask the database twice for each batch. It keeps hashes, not secrets.
type tokens struct {
	from  Authenticator
	clock func() time.Time
	good  *lru.Cache[[32]byte, rememberedToken]
}

type rememberedToken struct {
	store.Token
	until time.Time
}

func newTokens(from Authenticator, clock func() time.Time) *tokens {
	good, err := lru.New[[32]byte, rememberedToken](tokenTable)
	if err != nil {
		panic(err) // the size is a constant above zero
	}
	return &tokens{from: from, clock: clock, good: good}
}

// remembered finds a good token without asking the database.
func (t *tokens) remembered(secret string, now time.Time) (store.Token, bool) {
	if len(secret) > maxSecret {
		return store.Token{}, false
	}
	g, ok := t.good.Get(sha256.Sum256([]byte(secret)))
	return g.Token, ok && now.Before(g.until)
}

// find asks the database.
func (t *tokens) find(ctx context.Context, secret string) (store.Token, error) {
	if secret == "" || len(secret) > maxSecret {
		return store.Token{}, store.ErrToken
	}
	hash := sha256.Sum256([]byte(secret))
	now := t.clock()
	token, err := t.from.Authenticate(ctx, secret)
	if err != nil {
		t.good.Remove(hash)
		return store.Token{}, err
	}
	until := now.Add(tokenMemory)
	if !token.Expires.IsZero() && token.Expires.Before(until) {
		until = token.Expires
	}
	t.good.Add(hash, rememberedToken{token, until})
	return token, nil
}
