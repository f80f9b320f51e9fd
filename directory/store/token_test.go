package store_test

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"sealpost/directory/store"
)

func TestTokens(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		s := w.open(t)
		secret, made, err := s.CreateToken(t.Context(), "billing\x00\n", []store.Scope{store.ScopeRead, store.ScopeFeed}, w.now.Add(3*time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		admin, _, err := s.CreateToken(t.Context(), "operator", []store.Scope{store.ScopeAdmin}, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.Authenticate(t.Context(), secret)
		if err != nil || got.ID != made.ID || !got.Allows(store.ScopeFeed) || got.Allows(store.ScopeWrite) || got.Name != "billing  " {
			t.Errorf("%+v, %v", got, err)
		}
		if a, err := s.Authenticate(t.Context(), admin); err != nil || !a.Allows(store.ScopeWrite) || !a.Expires.IsZero() {
			t.Errorf("%+v, %v", a, err)
		}
		for _, wrong := range []string{"", "sealpost_", secret[:len(secret)-1], secret + "A", secret[1:], strings.Replace(secret, made.ID, "0000000000000000", 1),
			admin[:len("sealpost_")+16] + secret[len("sealpost_")+16:], "sealpost_\x00_\xff", strings.Repeat("sealpost_a_", 100)} {
			if _, err := s.Authenticate(t.Context(), wrong); !errors.Is(err, store.ErrToken) {
				t.Errorf("%q: %v", wrong, err)
			}
		}
		list, err := s.Tokens(t.Context())
		if err != nil || len(list) != 2 {
			t.Fatal(list, err)
		}
		for _, l := range list {
			if !l.LastUsed.Equal(w.now.Truncate(time.Hour)) {
				t.Errorf("last used %v", l.LastUsed)
			}
		}
		w.now = w.now.Add(3 * time.Hour)
		if _, err := s.Authenticate(t.Context(), secret); !errors.Is(err, store.ErrToken) {
			t.Errorf("after its time: %v", err)
		}
		if err := s.DeleteToken(t.Context(), got.ID); err != nil {
			t.Error(err)
		}
		if err := s.DeleteToken(t.Context(), got.ID); !errors.Is(err, store.ErrToken) {
			t.Errorf("deleted twice: %v", err)
		}
		for _, scopes := range [][]store.Scope{nil, {"root"}} {
			if _, _, err := s.CreateToken(t.Context(), "x", scopes, time.Time{}); !errors.Is(err, store.ErrScope) {
				t.Errorf("scopes %v: %v", scopes, err)
			}
		}
	})
}

// Who reads the database cannot use the tokens.
func TestSecretIsNotStored(t *testing.T) {
	w := newWorld(t, kinds[0])
	s := w.open(t)
	secret, _, err := s.CreateToken(t.Context(), "relay", []store.Scope{store.ScopeFeed}, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Authenticate(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	key := secret[strings.LastIndexByte(secret, '_')+1:]
	path := strings.TrimPrefix(w.url, "sqlite:")
	for _, file := range []string{path, path + "-wal"} {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(data, []byte(key)) || !bytes.Contains(data, []byte("SQLite")) && file == path {
			t.Errorf("the secret stands in %s", file)
		}
	}
}
