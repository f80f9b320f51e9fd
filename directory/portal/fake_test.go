package portal_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"sealpost/directory/claim"
)

// claims stands in for the engine. It has one key, for anna@example.org, and
// writes down what was done to it.
type claims struct {
	mu       sync.Mutex
	second   bool // a second proof is wanted
	tries    int
	sessions map[string]*claim.Session
	used     bool
	claimed  time.Time
	deleted  time.Time
	upload   []byte
	done     []string // calls that change something
	clients  []netip.Addr
	err      error // of every call
}

const (
	anna  = "anna@example.org"
	token = "the-token-of-the-link"
	code  = "K7QX-M2PD"
)

func newClaims() *claims { return &claims{sessions: map[string]*claim.Session{}} }

func (c *claims) begin(did string) (func(), error) {
	c.mu.Lock()
	if did != "" {
		c.done = append(c.done, did)
	}
	return c.mu.Unlock, c.err
}

// did gives what has been done since the last time.
func (c *claims) did() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	d := c.done
	c.done = nil
	return d
}

func (c *claims) Peek(_ context.Context, t string) (claim.View, error) {
	end, err := c.begin("")
	defer end()
	if err == nil && t != token {
		err = claim.ErrToken
	}
	return claim.View{Masked: "a…a@example.org", Valid: !c.used}, err
}

func (c *claims) start(needs bool) (string, claim.Session) {
	secret := rand.Text()
	s := &claim.Session{Address: anna, NeedsSecret: needs, CSRF: rand.Text(), Fingerprint: sha256.Sum256([]byte(anna))}
	c.sessions[secret] = s
	return secret, c.see(s)
}

func (c *claims) see(s *claim.Session) claim.Session {
	out := *s
	out.Claimed, out.Deleting, out.KeyThere = c.claimed, c.deleted, c.deleted.IsZero() || c.deleted.After(time.Now())
	return out
}

func (c *claims) Prove(_ context.Context, p claim.Proof) (string, claim.Session, error) {
	end, err := c.begin("prove")
	defer end()
	c.clients = append(c.clients, p.Client)
	left := -1
	if p.Token != "" {
		left = 4 - c.tries
	}
	switch {
	case err != nil:
		return "", claim.Session{}, err
	case p.Token == "" && !strings.Contains(p.Address, "@"):
		return "", claim.Session{}, claim.ErrAddress
	case p.Token != "" && p.Token != token:
		return "", claim.Session{}, claim.ErrToken
	case p.Token != "" && c.used:
		return "", claim.Session{}, claim.ErrUsed
	case c.tries >= 5:
		return "", claim.Session{}, claim.ErrTooMany
	case p.Code != code || p.Token == "" && p.Address != anna || c.used:
		c.tries++
		return "", claim.Session{}, fmt.Errorf("wrapped: %w", &claim.CodeError{Left: left})
	}
	c.used = true
	secret, s := c.start(c.second)
	return secret, s, nil
}

func (c *claims) Session(_ context.Context, secret string) (claim.Session, error) {
	end, err := c.begin("")
	defer end()
	s := c.sessions[secret]
	if err == nil && s == nil {
		err = claim.ErrSession
	}
	if err != nil {
		return claim.Session{}, err
	}
	return c.see(s), nil
}

func (c *claims) Second(_ context.Context, secret, answer string, _ netip.Addr) (string, claim.Session, error) {
	end, err := c.begin("second")
	defer end()
	switch {
	case err != nil:
		return "", claim.Session{}, err
	case answer != "4711":
		return "", claim.Session{}, &claim.SecondFactorError{Left: 3}
	}
	delete(c.sessions, secret)
	fresh, s := c.start(false)
	return fresh, s, nil
}

func (c *claims) Resend(_ context.Context, addr string, client netip.Addr) error {
	end, err := c.begin("resend " + addr)
	defer end()
	c.clients = append(c.clients, client)
	if err == nil && !strings.Contains(addr, "@") {
		err = claim.ErrAddress
	}
	return err
}

func (c *claims) End(_ context.Context, secret string) error {
	end, err := c.begin("end")
	defer end()
	delete(c.sessions, secret)
	return err
}

func (c *claims) PKCS12(_ context.Context, _, passphrase string, f claim.Format) ([]byte, error) {
	end, err := c.begin("pkcs12 " + string(f))
	defer end()
	switch {
	case err != nil:
		return nil, err
	case len(passphrase) < claim.MinPassphrase:
		return nil, &claim.PassphraseError{Rule: claim.PassphraseShort}
	case strings.Contains(passphrase, "anna"):
		return nil, &claim.PassphraseError{Rule: claim.PassphraseObvious}
	}
	c.claimed = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	return []byte("the file, locked with " + passphrase), nil
}

func (c *claims) SealedKey(_ context.Context, _ string, public []byte) ([]byte, error) {
	end, err := c.begin("key")
	defer end()
	return append([]byte("sealed to "), public...), err
}

func (c *claims) Replace(_ context.Context, _ string, upload []byte) error {
	end, err := c.begin("replace")
	defer end()
	c.upload = slices.Clone(upload)
	switch {
	case err != nil:
		return err
	case bytes.Contains(upload, []byte("PRIVATE KEY")):
		return claim.ErrPrivateKey
	case !bytes.Contains(upload, []byte("CERTIFICATE")):
		return &claim.CertificateError{Why: "cannot be read"}
	}
	return nil
}

func (c *claims) DeleteKey(_ context.Context, _ string, when time.Time) error {
	end, err := c.begin("delete")
	defer end()
	if err == nil {
		c.deleted = when
	}
	return err
}
