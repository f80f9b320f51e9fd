package escrow_test

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"sealpost/directory/escrow"
)

// A transit is a small peer that speaks like Vault's transit engine: keys with
// versions, AES-256-GCM, the same forms and refusals. With SEALPOST_TEST_VAULT=URL
// TestVault is run against a real server too: it must have the transit engine at
// its usual place, and the token "good-token". Debian has no package of one.
type transit struct {
	*httptest.Server
	mu       sync.Mutex
	versions []cipher.AEAD
	oldest   int
	answer   http.HandlerFunc // instead, when it is set
	seen     []*http.Request
}

func newTransit(t testing.TB) *transit {
	t.Helper()
	v := &transit{oldest: 1}
	v.rotate(t)
	v.Server = httptest.NewServer(v)
	t.Cleanup(v.Close)
	return v
}

func (v *transit) rotate(t testing.TB) {
	t.Helper()
	key := make([]byte, 32)
	rand.Read(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.versions = append(v.versions, aead)
}

func (v *transit) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.seen = append(v.seen, r.Clone(context.Background()))
	if v.answer != nil {
		v.answer(w, r)
		return
	}
	var body struct{ Plaintext, Ciphertext string }
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		refuse(w, 400, "error parsing JSON")
		return
	}
	switch {
	case r.Header.Get("X-Vault-Token") != "good-token":
		refuse(w, 403, "permission denied")
	case r.URL.Path == "/v1/transit/encrypt/escrow":
		v.encrypt(w, body.Plaintext)
	case r.URL.Path == "/v1/transit/decrypt/escrow":
		v.decrypt(w, body.Ciphertext)
	default:
		refuse(w, 404, "no handler for route")
	}
}

func (v *transit) encrypt(w http.ResponseWriter, text string) {
	plain, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		refuse(w, 400, "failed to base64-decode plaintext")
		return
	}
	nonce := make([]byte, 12)
	rand.Read(nonce)
	n := len(v.versions)
	tell(w, "ciphertext", fmt.Sprintf("vault:v%d:%s", n, base64.StdEncoding.EncodeToString(v.versions[n-1].Seal(nonce, nonce, plain, nil))))
}

func (v *transit) decrypt(w http.ResponseWriter, text string) {
	parts := strings.Split(text, ":")
	if len(parts) != 3 || parts[0] != "vault" {
		refuse(w, 400, "invalid ciphertext: no prefix")
		return
	}
	n, err := strconv.Atoi(strings.TrimPrefix(parts[1], "v"))
	raw, err2 := base64.StdEncoding.DecodeString(parts[2])
	switch {
	case err != nil || err2 != nil || n < 1 || n > len(v.versions) || len(raw) < 12:
		refuse(w, 400, "invalid ciphertext: version is too new, or cannot be decoded")
		return
	case n < v.oldest:
		refuse(w, 400, "ciphertext or signature version is disallowed by policy (too old)")
		return
	}
	plain, err := v.versions[n-1].Open(nil, raw[:12], raw[12:], nil)
	if err != nil {
		refuse(w, 400, "invalid ciphertext: unable to decrypt")
		return
	}
	tell(w, "plaintext", base64.StdEncoding.EncodeToString(plain))
}

func refuse(w http.ResponseWriter, status int, why string) {
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"errors": []string{why}})
}

func tell(w http.ResponseWriter, name, value string) {
	_ = json.NewEncoder(w).Encode(map[string]any{"data": map[string]any{name: value}})
}

func openVault(t testing.TB, url string, change func(*escrow.VaultOptions)) *escrow.Vault {
	t.Helper()
	o := escrow.VaultOptions{URL: url, Key: "escrow", Timeout: 5 * time.Second, Token: func() (string, error) { return "good-token", nil }}
	if change != nil {
		change(&o)
	}
	v, err := escrow.OpenVault(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v.Close() })
	return v
}

// A vault under test: how it is rotated, and where it is.
type vaultServer struct {
	url    string
	rotate func()
}

func vaultServers(t *testing.T) map[string]vaultServer {
	t.Helper()
	v := newTransit(t)
	all := map[string]vaultServer{"peer": {v.URL, func() { v.rotate(t) }}}
	if url := os.Getenv("SEALPOST_TEST_VAULT"); url != "" {
		post := func(path string) {
			req, err := http.NewRequest(http.MethodPost, url+"/v1/transit/keys/"+path, strings.NewReader("{}"))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("X-Vault-Token", "good-token")
			resp, err := http.DefaultClient.Do(req)
			if err != nil || resp.StatusCode/100 != 2 {
				t.Fatalf("%s: %v", path, err)
			}
			resp.Body.Close()
		}
		post("escrow")
		all["real"] = vaultServer{url, func() { post("escrow/rotate") }}
	}
	return all
}

func TestVault(t *testing.T) {
	t.Setenv("VAULT_TOKEN", "token-of-the-environment")
	t.Setenv("VAULT_NAMESPACE", "namespace-of-the-environment")
	for name, server := range vaultServers(t) {
		t.Run(name, func(t *testing.T) {
			k, key := openVault(t, server.url, nil), newKey(t)
			if k.ID() != "vault:transit/escrow" {
				t.Errorf("before anything was wrapped it is %s", k.ID())
			}
			if err := escrow.Check(t.Context(), k); err != nil {
				t.Fatal(err)
			}
			wrapped, first := sealed(t, k, key, 1, anna), k.ID()
			if !strings.HasPrefix(first, "vault:transit/escrow:v") {
				t.Errorf("wrapped by %s", first)
			}
			if _, err := escrow.Open(t.Context(), k, wrapped, [32]byte{1}, anna, key.Public()); err != nil {
				t.Error(err)
			}
			for what, open := range map[string]func() error{
				"another address": func() error {
					_, err := k.Unwrap(t.Context(), wrapped, escrow.Bound([32]byte{1}, "bob@example.org"))
					return err
				},
				"another certificate": func() error { _, err := k.Unwrap(t.Context(), wrapped, escrow.Bound([32]byte{2}, anna)); return err },
				"damage": func() error {
					bad := bytes.Clone(wrapped)
					bad[len(bad)-1] ^= 1
					_, err := k.Unwrap(t.Context(), bad, escrow.Bound([32]byte{1}, anna))
					return err
				},
				"a damaged data key": func() error {
					bad := bytes.Replace(wrapped, []byte("vault:v1:"), []byte("vault:v1:AAAA"), 1)
					bad[len("SPE1")+1+len(first)+1] += 4
					_, err := k.Unwrap(t.Context(), bad, escrow.Bound([32]byte{1}, anna))
					return err
				},
			} {
				if err := open(); !errors.Is(err, escrow.ErrOpen) {
					t.Errorf("%s: %v", what, err)
				}
			}
			server.rotate()
			again, second, err := escrow.Rewrap(t.Context(), k, wrapped, [32]byte{1}, anna)
			if err != nil || second == first || k.ID() != second {
				t.Errorf("rotated from %s to %s: %v", first, second, err)
			}
			for _, w := range [][]byte{wrapped, again} {
				if _, err := escrow.Open(t.Context(), k, w, [32]byte{1}, anna, key.Public()); err != nil {
					t.Error(err)
				}
			}
			wrong := openVault(t, server.url, func(o *escrow.VaultOptions) { o.Token = func() (string, error) { return "wrong-canary", nil } })
			if _, err := escrow.Open(t.Context(), wrong, wrapped, [32]byte{1}, anna, key.Public()); err == nil || errors.Is(err, escrow.ErrOpen) || strings.Contains(err.Error(), "canary") {
				t.Errorf("a wrong token: %v", err)
			}
		})
	}
}

// The private key never crosses the line, and neither does what the environment
// has: only a wrapped or a plain data key.
func TestVaultSeesNoPrivateKey(t *testing.T) {
	t.Setenv("VAULT_TOKEN", "token-of-the-environment")
	t.Setenv("VAULT_NAMESPACE", "namespace-of-the-environment")
	server := newTransit(t)
	var bodies bytes.Buffer
	inner := server.Config.Handler
	server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body bytes.Buffer
		_, _ = body.ReadFrom(r.Body)
		bodies.Write(body.Bytes())
		r.Body = http.NoBody
		r2 := r.Clone(r.Context())
		r2.Body = readCloser{bytes.NewReader(body.Bytes())}
		inner.ServeHTTP(w, r2)
	})
	k := openVault(t, server.URL, nil)
	key := newKey(t)
	wrapped := sealed(t, k, key, 1, anna)
	if _, err := escrow.Open(t.Context(), k, wrapped, [32]byte{1}, anna, key.Public()); err != nil {
		t.Fatal(err)
	}
	if bodies.Len() == 0 || bodies.Len() > 400 {
		t.Errorf("%d bytes were sent: %s", bodies.Len(), bodies.String())
	}
	for _, r := range server.seen {
		if r.Header.Get("X-Vault-Token") != "good-token" || r.Header.Get("X-Vault-Namespace") != "" {
			t.Errorf("%v", r.Header)
		}
	}
	other := openVault(t, server.URL, func(o *escrow.VaultOptions) { o.Namespace = "bank" })
	if _, err := escrow.Open(t.Context(), other, wrapped, [32]byte{1}, anna, key.Public()); err != nil || server.seen[len(server.seen)-1].Header.Get("X-Vault-Namespace") != "bank" {
		t.Errorf("%v, %v", server.seen[len(server.seen)-1].Header, err)
	}
}

type readCloser struct{ *bytes.Reader }

func (readCloser) Close() error { return nil }

// Whatever a server answers, and when there is none: an error without secrets,
// and never ErrOpen, for it may pass.
func TestVaultTrouble(t *testing.T) {
	server := newTransit(t)
	k := openVault(t, server.URL, func(o *escrow.VaultOptions) { o.Timeout = time.Second })
	key := newKey(t)
	wrapped := sealed(t, k, key, 1, anna)
	bound := escrow.Bound([32]byte{1}, anna)
	for name, answer := range map[string]http.HandlerFunc{
		"sealed":   func(w http.ResponseWriter, _ *http.Request) { refuse(w, 503, "Vault is sealed") },
		"denied":   func(w http.ResponseWriter, _ *http.Request) { refuse(w, 403, "permission denied") },
		"no route": func(w http.ResponseWriter, _ *http.Request) { refuse(w, 404, "no handler for route") },
		"HTML":     func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>log in</html>")) },
		"nothing":  func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
		"no data":  func(w http.ResponseWriter, _ *http.Request) { tell(w, "other", "x") },
		"no text": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"data":{"plaintext":7,"ciphertext":7}}`))
		},
		"redirected": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://192.0.2.1/", http.StatusTemporaryRedirect)
		},
	} {
		server.mu.Lock()
		server.answer = answer
		server.mu.Unlock()
		if _, err := k.Wrap(t.Context(), []byte("key-canary"), bound); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: wraps: %v", name, err)
		}
		if _, err := k.Unwrap(t.Context(), wrapped, bound); err == nil || errors.Is(err, escrow.ErrOpen) || errors.Is(err, escrow.ErrUnknownKey) {
			t.Errorf("%s: unwraps: %v", name, err)
		}
	}
	server.mu.Lock()
	server.answer = func(w http.ResponseWriter, _ *http.Request) { tell(w, "plaintext", "c2hvcnQ=") }
	server.mu.Unlock()
	if _, err := k.Unwrap(t.Context(), wrapped, bound); !errors.Is(err, escrow.ErrOpen) {
		t.Errorf("a short data key: %v", err)
	}
	server.mu.Lock()
	server.answer, server.oldest = nil, 2
	server.mu.Unlock()
	if _, err := k.Unwrap(t.Context(), wrapped, bound); !errors.Is(err, escrow.ErrOpen) {
		t.Errorf("a version that Vault does not open any more: %v", err)
	}
	server.Close()
	if _, err := k.Unwrap(t.Context(), wrapped, bound); err == nil || errors.Is(err, escrow.ErrOpen) {
		t.Errorf("no server: %v", err)
	}
	if _, err := k.Unwrap(t.Context(), sealed(t, open(t, keyFile(t)), key, 1, anna), bound); !errors.Is(err, escrow.ErrUnknownKey) {
		t.Errorf("a key that a file wrapped: %v", err)
	}
	broken := openVault(t, server.URL, func(o *escrow.VaultOptions) { o.Token = func() (string, error) { return "", os.ErrNotExist } })
	if _, err := broken.Wrap(t.Context(), []byte("key"), bound); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no token: %v", err)
	}
	for _, o := range []escrow.VaultOptions{
		{}, {URL: "http://127.0.0.1", Key: "x"}, {URL: "http://127.0.0.1", Key: "a/b", Token: func() (string, error) { return "x", nil }},
	} {
		if _, err := escrow.OpenVault(o); err == nil {
			t.Errorf("%+v is a vault", o.Key)
		}
	}
}
