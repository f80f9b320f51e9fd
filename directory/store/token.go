package store

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Scope is what a token allows.
type Scope string

// The scopes.
const (
	ScopeRead      Scope = "read"      // look up, without the limits of open lookups
	ScopeBatch     Scope = "batch"     // look up many at once
	ScopeFeed      Scope = "feed"      // follow the changes: read everything
	ScopeWrite     Scope = "write"     // publish and revoke
	ScopeProvision Scope = "provision" // have keys made for addresses that have none
	ScopeAdmin     Scope = "admin"     // everything
)

var scopes = []Scope{ScopeRead, ScopeBatch, ScopeFeed, ScopeWrite, ScopeProvision, ScopeAdmin}

// ErrToken says that a secret opens nothing: unknown, deleted, expired or
// malformed. Which of them is not told.
var ErrToken = errors.New("the token is not valid")

// ErrScope says that a token cannot be made with such scopes.
var ErrScope = errors.New("a token needs one or more of the scopes read, batch, feed, write, provision, admin")

// A Token is a right to use the API. Its secret is not stored.
type Token struct {
	ID       string // for logs and for DeleteToken; no secret
	Name     string // whose it is, for operators
	Scopes   []Scope
	Created  time.Time
	Expires  time.Time // zero: never
	LastUsed time.Time // to the hour; zero: never
}

// Allows reports whether the token has the scope; admin has every one.
func (t *Token) Allows(s Scope) bool {
	return slices.Contains(t.Scopes, s) || slices.Contains(t.Scopes, ScopeAdmin)
}

// tokenPrefix begins every secret, so that scanners for leaked secrets find it.
const tokenPrefix = "sealpost_"

// usedEvery is how coarse LastUsed is: a write for each request would cost more
// than the request.
const usedEvery = time.Hour

// usedPatience is how long a request waits for LastUsed to be written.
const usedPatience = 200 * time.Millisecond

// CreateToken makes a token. The secret is given once, here: the database has
// only its SHA-256. A slow hash would gain nothing: it is there to make guessing
// of passwords expensive, and 256 random bits cannot be guessed.
func (s *Store) CreateToken(ctx context.Context, name string, allowed []Scope, expires time.Time) (secret string, t Token, err error) {
	for _, a := range allowed {
		if !slices.Contains(scopes, a) {
			return "", Token{}, fmt.Errorf("%w, not %q", ErrScope, a)
		}
	}
	if len(allowed) == 0 {
		return "", Token{}, ErrScope
	}
	var id [8]byte
	var key [32]byte
	rand.Read(id[:])
	rand.Read(key[:])
	t = Token{ID: hex.EncodeToString(id[:]), Name: clean(name), Scopes: slices.Clone(allowed),
		Created: s.now().UTC(), Expires: expires.UTC().Truncate(time.Second)}
	secret = tokenPrefix + t.ID + "_" + base64.RawURLEncoding.EncodeToString(key[:])
	hash := sha256.Sum256([]byte(secret))
	words := make([]string, len(t.Scopes))
	for i, scope := range t.Scopes {
		words[i] = string(scope)
	}
	err = s.write(ctx, func(ctx context.Context, x tx) error {
		return x.exec(ctx, "INSERT INTO token (id, hash, name, scopes, created, expires, last_used) VALUES ($1, $2, $3, $4, $5, $6, 0)",
			t.ID, hash[:], t.Name, strings.Join(words, " "), seconds(t.Created), seconds(t.Expires))
	})
	if err != nil {
		return "", Token{}, err
	}
	return secret, t, nil
}

// Authenticate gives the token of a secret, or ErrToken. Any other error is
// trouble with the database.
func (s *Store) Authenticate(ctx context.Context, secret string) (Token, error) {
	id, _, ok := strings.Cut(strings.TrimPrefix(secret, tokenPrefix), "_")
	if !ok || !strings.HasPrefix(secret, tokenPrefix) || len(secret) > 200 || !storable(secret) {
		return Token{}, ErrToken
	}
	// The id is no secret, so finding the row may take what time it takes; the
	// secret's hash is compared in constant time.
	var found []storedToken
	err := s.read(ctx, false, func(ctx context.Context, t tx) (err error) {
		found, err = readTokens(ctx, t, " WHERE id = $1", id)
		return err
	})
	if err != nil {
		return Token{}, err
	}
	hash := sha256.Sum256([]byte(secret))
	if len(found) != 1 || subtle.ConstantTimeCompare(found[0].hash, hash[:]) != 1 {
		return Token{}, ErrToken
	}
	t := found[0].Token
	now := s.now()
	if !t.Expires.IsZero() && !now.Before(t.Expires) {
		return Token{}, ErrToken
	}
	if hour := now.Truncate(usedEvery); hour.After(t.LastUsed) {
		s.used(ctx, t.ID, hour)
		t.LastUsed = hour.UTC()
	}
	return t, nil
}

// used notes that a token is in use. A request neither fails over it nor waits
// for long: the next one will try again.
func (s *Store) used(ctx context.Context, id string, hour time.Time) {
	ctx, cancel := context.WithTimeout(ctx, usedPatience)
	defer cancel()
	err := s.write(ctx, func(ctx context.Context, x tx) error {
		return x.exec(ctx, "UPDATE token SET last_used = $2 WHERE id = $1 AND last_used < $2", id, seconds(hour))
	})
	if err != nil {
		s.opts.Log.Warn("directory: cannot note that a token was used", "token", id, "error", err)
	}
}

// Tokens lists all tokens, the oldest first.
func (s *Store) Tokens(ctx context.Context) ([]Token, error) {
	var list []Token
	err := s.read(ctx, false, func(ctx context.Context, t tx) error {
		found, err := readTokens(ctx, t, " ORDER BY created, id")
		list = make([]Token, len(found))
		for i := range found {
			list[i] = found[i].Token
		}
		return err
	})
	return list, err
}

// DeleteToken makes a token invalid at once, on all nodes; ErrToken when there
// is none with that id.
func (s *Store) DeleteToken(ctx context.Context, id string) error {
	return s.write(ctx, func(ctx context.Context, x tx) error {
		if !storable(id) {
			return ErrToken
		}
		found, err := readTokens(ctx, x, " WHERE id = $1", id)
		if err == nil && len(found) == 0 {
			err = ErrToken
		}
		if err != nil {
			return err
		}
		return x.exec(ctx, "DELETE FROM token WHERE id = $1", id)
	})
}

type storedToken struct {
	Token
	hash []byte
}

func readTokens(ctx context.Context, t tx, condition string, args ...any) ([]storedToken, error) {
	var list []storedToken
	err := t.query(ctx, func(row scan) error {
		var s storedToken
		var words string
		var created, expires, used int64
		if err := row(&s.ID, &s.hash, &s.Name, &words, &created, &expires, &used); err != nil {
			return err
		}
		for _, w := range strings.Fields(words) {
			s.Scopes = append(s.Scopes, Scope(w))
		}
		s.Created, s.Expires, s.LastUsed = moment(created), moment(expires), moment(used)
		list = append(list, s)
		return nil
	}, "SELECT id, hash, name, scopes, created, expires, last_used FROM token"+condition, args...)
	return list, err
}
