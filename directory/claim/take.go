package claim

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	pkcs12 "software.sslmate.com/src/go-pkcs12"

	"sealpost/directory/escrow"
	"sealpost/directory/keybox"
	"sealpost/directory/store"
)

// The rounds of the hash that makes a key of a passphrase. OpenSSL's own default
// is 2048; these are what every program still opens at once, see docs/claim.md.
const (
	modernRounds = 100_000
	legacyRounds = 10_000
)

// actor is who the audit log says it was: the session, which the log ties to a
// notice.
func actor(s Session) string { return "portal, session " + s.ID }

// open takes the key out of escrow. That it was used is recorded before it is
// read. The error is ErrGone when it was deleted.
func (e *Engine) open(ctx context.Context, s Session, why string) (crypto.Signer, *x509.Certificate, error) {
	k, err := e.opts.Store.UseKey(ctx, s.Fingerprint, actor(s), why)
	if err != nil {
		return nil, nil, orGone(err)
	}
	c, err := e.opts.Store.ByFingerprint(ctx, s.Fingerprint)
	if err != nil {
		return nil, nil, fmt.Errorf("claim: the certificate of the key %x: %w", s.Fingerprint[:8], err)
	}
	cert, err := c.Cert.X509()
	if err != nil {
		return nil, nil, fmt.Errorf("claim: the certificate of the key %x: %w", s.Fingerprint[:8], err)
	}
	key, err := escrow.Open(ctx, e.opts.Keeper, k.Wrapped, s.Fingerprint, k.Address, cert.PublicKey)
	if err != nil {
		return nil, nil, fmt.Errorf("claim: the key %x: %w", s.Fingerprint[:8], err)
	}
	return key, cert, nil
}

func orGone(err error) error {
	if errors.Is(err, store.ErrKeyDeleted) || errors.Is(err, store.ErrNotFound) {
		return ErrGone
	}
	return err
}

// PKCS12 gives the key with its certificate and the chain of that, under a
// passphrase, as a file that mail programs import (RFC 7292). From now on the key
// counts as claimed. Errors: ErrSession, ErrGone, a *PassphraseError.
func (e *Engine) PKCS12(ctx context.Context, secret, passphrase string, format Format) ([]byte, error) {
	s, err := e.complete(ctx, secret)
	if err != nil {
		return nil, err
	}
	if rule := checkPassphrase(passphrase, s.Address); rule != "" {
		return nil, &PassphraseError{rule}
	}
	encoder := pkcs12.Modern2023.WithIterations(modernRounds)
	switch format {
	case Modern:
	case Legacy:
		encoder = pkcs12.LegacyDES.WithIterations(legacyRounds)
	default:
		return nil, fmt.Errorf("claim: %q is no format of PKCS #12", format)
	}
	key, cert, err := e.open(ctx, s, "taken home as PKCS #12, "+string(format))
	if err != nil {
		return nil, err
	}
	var file []byte
	if busy := e.atOnce(ctx, func() { file, err = encoder.Encode(key, cert, e.opts.Chain, passphrase) }); busy != nil {
		return nil, busy
	}
	if err != nil {
		return nil, fmt.Errorf("claim: PKCS #12 of the key %x: %w", s.Fingerprint[:8], err)
	}
	if err := e.opts.Store.ClaimKey(ctx, s.Fingerprint, actor(s), "taken home as PKCS #12, "+string(format)); err != nil {
		return nil, orGone(err)
	}
	e.stats.taken.Add(1)
	if err := e.keepShorter(ctx, s); err != nil { // he has his file
		e.opts.Log.Error("claim: the end of a claimed key could not be stored; it stays in escrow as long as others", "address", s.Address, "error", err)
	}
	return file, nil
}

// keepShorter has a claimed key deleted when DeleteAfter says so.
func (e *Engine) keepShorter(ctx context.Context, s Session) error {
	until := e.opts.Clock().Add(e.opts.DeleteAfter)
	if e.opts.DeleteAfter <= 0 || !s.Deleting.IsZero() && !until.Before(s.Deleting) {
		return nil
	}
	return orGone(e.opts.Store.KeepKey(ctx, s.Fingerprint, until))
}

// SealedKey gives the key with its certificate and the chain of that, sealed to a
// key that the reading page has made for itself (keybox). Errors: ErrSession,
// ErrGone, keybox.ErrPublic.
func (e *Engine) SealedKey(ctx context.Context, secret string, public []byte) ([]byte, error) {
	s, err := e.complete(ctx, secret)
	if err != nil {
		return nil, err
	}
	// What would fail is found out before the key is taken out.
	if _, err := keybox.Seal(public, nil); err != nil {
		return nil, err
	}
	key, cert, err := e.open(ctx, s, "read in the browser")
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, errors.New("claim: the key is of a kind that cannot be written")
	}
	defer clear(der)
	chain := [][]byte{cert.Raw}
	for _, c := range e.opts.Chain {
		chain = append(chain, c.Raw)
	}
	e.stats.read.Add(1)
	return keybox.Seal(public, der, chain...)
}

// DeleteKey deletes the escrowed key, now or at a later time. After that nobody
// can open mail with it who has not taken it home: neither the recipient nor the
// house. The certificate of a key that nobody has taken home is revoked with it.
// Errors: ErrSession, ErrGone.
func (e *Engine) DeleteKey(ctx context.Context, secret string, when time.Time) error {
	s, err := e.complete(ctx, secret)
	if err != nil {
		return err
	}
	if when.After(e.opts.Clock()) {
		if !s.Deleting.IsZero() && when.After(s.Deleting) {
			when = s.Deleting // nobody keeps it longer than the house wants to
		}
		return orGone(e.opts.Store.KeepKey(ctx, s.Fingerprint, when))
	}
	if err := e.opts.Store.DeleteKey(ctx, s.Fingerprint, actor(s), "its owner wanted it deleted"); err != nil {
		return orGone(err)
	}
	e.stats.deleted.Add(1)
	e.opts.Log.Info("an escrowed key was deleted by its owner", "address", s.Address, "session", s.ID)
	e.opts.Settle(ctx)
	return nil
}

// checkPassphrase gives the rule that a passphrase breaks; empty: none. Only
// printable ASCII is taken: programs do not agree on how others are encoded, and
// the file would not open.
func checkPassphrase(p, addr string) PassphraseRule {
	if strings.ContainsFunc(p, func(r rune) bool { return r < ' ' || r > '~' }) {
		return PassphraseCharacter
	}
	switch {
	case len(p) < MinPassphrase:
		return PassphraseShort
	case len(p) > MaxPassphrase:
		return PassphraseLong
	}
	letters := []byte(strings.ToLower(p))
	slices.Sort(letters)
	const fewest = 6 // different characters
	if len(slices.Compact(letters)) < fewest {
		return PassphraseSimple
	}
	// What is left without the address must be long enough by itself.
	rest, addr := strings.ToLower(p), strings.ToLower(addr)
	local, domain, _ := strings.Cut(addr, "@")
	for _, part := range []string{addr, local, domain} {
		if len(part) > 2 {
			rest = strings.ReplaceAll(rest, part, "")
		}
	}
	if len(rest) < MinPassphrase*2/3 {
		return PassphraseObvious
	}
	return ""
}
