package escrow

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	vault "github.com/hashicorp/vault/api"
)

// VaultOptions say which key of which Vault (or OpenBao) wraps. The key is of the
// transit engine, of a type that encrypts (aes256-gcm96).
type VaultOptions struct {
	URL       string                 // https://host:8200
	Mount     string                 // of the transit engine, default "transit"
	Key       string                 // its name
	Namespace string                 // default: none
	Token     func() (string, error) // asked for each call, so that an agent may renew it
	RootCAs   *x509.CertPool         // of the server's certificate; default: the system's
	Timeout   time.Duration          // of one call, default 10 s
}

// A Vault is the Keeper whose master key never leaves HashiCorp Vault or OpenBao.
// Each private key is sealed here under a data key of its own, and Vault wraps
// that: it never sees a private key, and its own audit log has every use.
type Vault struct {
	opts   VaultOptions
	client *vault.Client
	latest atomic.Pointer[string] // the name of the version that wrapped last
}

// OpenVault checks the options; it does not connect.
func OpenVault(opts VaultOptions) (*Vault, error) {
	if opts.Mount == "" {
		opts.Mount = "transit"
	}
	if opts.Timeout <= 0 {
		opts.Timeout = 10 * time.Second
	}
	if opts.URL == "" || opts.Key == "" || opts.Token == nil {
		return nil, errors.New("escrow: Vault needs a URL, the name of a key, and a token")
	}
	if strings.ContainsAny(opts.Key, "/%?# ") || strings.ContainsAny(opts.Mount, "%?# ") {
		return nil, errors.New("escrow: the name of Vault's key or mount has a character that no path has")
	}
	config := &vault.Config{
		Address: opts.URL, Timeout: opts.Timeout, MaxRetries: 1, MinRetryWait: 200 * time.Millisecond, DisableRedirects: true, CloneToken: true,
		HttpClient: &http.Client{Transport: &http.Transport{
			TLSClientConfig: &tls.Config{RootCAs: opts.RootCAs, MinVersion: tls.VersionTLS12}, Proxy: http.ProxyFromEnvironment,
			TLSHandshakeTimeout: opts.Timeout, MaxIdleConnsPerHost: 4, IdleConnTimeout: time.Minute, ForceAttemptHTTP2: true,
		}},
	}
	client, err := vault.NewClient(config)
	if err != nil {
		return nil, fmt.Errorf("escrow: vault: %w", err)
	}
	return &Vault{opts: opts, client: client}, nil
}

// ID names the version of the key that wrapped last; before the first time it has
// no version.
func (v *Vault) ID() string {
	if id := v.latest.Load(); id != nil {
		return *id
	}
	return v.name()
}

func (v *Vault) name() string { return "vault:" + v.opts.Mount + "/" + v.opts.Key }

// Wrap makes a data key, has Vault wrap it, and seals with it.
func (v *Vault) Wrap(ctx context.Context, key, bound []byte) ([]byte, error) {
	var dataKey [32]byte
	rand.Read(dataKey[:])
	defer clear(dataKey[:])
	text, err := v.call(ctx, "encrypt", "plaintext", base64.StdEncoding.EncodeToString(dataKey[:]), "ciphertext")
	if err != nil {
		return nil, err
	}
	parts := strings.SplitN(text, ":", 3) // vault:v3:…
	if len(parts) != 3 || parts[0] != "vault" || !strings.HasPrefix(parts[1], "v") {
		return nil, errors.New("escrow: what Vault answers is no ciphertext of its transit engine")
	}
	id := v.name() + ":" + parts[1]
	v.latest.Store(&id)
	return seal(id, []byte(text), dataKey[:], key, bound)
}

// Unwrap has Vault unwrap the data key, and opens with it.
func (v *Vault) Unwrap(ctx context.Context, wrapped, bound []byte) ([]byte, error) {
	b, err := readBlob(wrapped)
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(b.master, v.name()+":") {
		return nil, fmt.Errorf("%w: %s", ErrUnknownKey, printable(b.master))
	}
	text, err := v.call(ctx, "decrypt", "ciphertext", string(b.dataKey), "plaintext")
	if err != nil {
		return nil, err
	}
	dataKey, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(dataKey) != 32 {
		return nil, ErrOpen
	}
	defer clear(dataKey)
	return b.open(dataKey, bound)
}

// call has Vault encrypt or decrypt one value.
func (v *Vault) call(ctx context.Context, what, name, value, wanted string) (string, error) {
	token, err := v.opts.Token()
	if err != nil {
		return "", fmt.Errorf("escrow: vault: no token: %w", err)
	}
	client, err := v.client.Clone()
	if err != nil {
		return "", fmt.Errorf("escrow: vault: %w", err)
	}
	client.SetToken(token)
	client.ClearNamespace() // what the environment says is not ours
	if v.opts.Namespace != "" {
		client.SetNamespace(v.opts.Namespace)
	}
	ctx, cancel := context.WithTimeout(ctx, v.opts.Timeout)
	defer cancel()
	secret, err := client.Logical().WriteWithContext(ctx, v.opts.Mount+"/"+what+"/"+v.opts.Key, map[string]any{name: value})
	if err != nil {
		return "", vaultError(what, err)
	}
	if secret == nil {
		return "", errors.New("escrow: Vault answers nothing")
	}
	text, ok := secret.Data[wanted].(string)
	if !ok || text == "" {
		return "", fmt.Errorf("escrow: Vault's answer has no %s", wanted)
	}
	return text, nil
}

// vaultError keeps what an operator needs of an error: never what was sent.
func vaultError(what string, err error) error {
	var answer *vault.ResponseError
	if !errors.As(err, &answer) {
		return fmt.Errorf("escrow: Vault does not answer: %w", err)
	}
	why := strings.Join(answer.Errors, "; ")
	if what == "decrypt" && answer.StatusCode == http.StatusBadRequest {
		return fmt.Errorf("%w: Vault says %q", ErrOpen, why)
	}
	return fmt.Errorf("escrow: Vault answers status %d: %q", answer.StatusCode, why)
}

// Close closes the idle connections.
func (v *Vault) Close() error {
	v.client.CloneConfig().HttpClient.CloseIdleConnections()
	return nil
}
