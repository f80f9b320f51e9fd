// Package escrow wraps the private keys that the directory makes for people who
// have none, so that what lies in the database opens nothing: a Keeper has the
// master key, and it lives elsewhere, in a file or in a key service.
//
// Every wrapped key is bound to the address and the certificate that it is for.
// Put into another row of the database, it does not open.
package escrow

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
)

// A Keeper wraps and unwraps. Its errors hold nothing of any key. The methods may
// be called from many goroutines.
type Keeper interface {
	// Wrap seals a key and binds it: Unwrap gives it back only with equal bound
	// bytes.
	Wrap(ctx context.Context, key, bound []byte) ([]byte, error)
	// Unwrap is the reverse; ErrOpen when it cannot be, whatever the reason is, and
	// ErrUnknownKey when the master key is not one of the Keeper's. Any other error
	// is trouble that may pass. The caller clears the result after use.
	Unwrap(ctx context.Context, wrapped, bound []byte) ([]byte, error)
	// ID names the master key that Wrap uses now; no secret.
	ID() string
}

// Errors of this package, to be found with errors.Is.
var (
	ErrOpen       = errors.New("the wrapped key does not open: it is damaged, or was made for another certificate or address")
	ErrUnknownKey = errors.New("the key was wrapped under a master key that is not here")
	ErrMismatch   = errors.New("the private key does not belong to the certificate")
)

// Bound is what the key of a certificate is bound to.
func Bound(fingerprint [32]byte, address string) []byte {
	b := append([]byte("sealpost escrow 1\n"), fingerprint[:]...)
	return append(b, address...)
}

// Seal wraps the private key of a certificate for an address (in the form of
// address.Address.Key). It gives the wrapped key and the name of the master key.
func Seal(ctx context.Context, k Keeper, key crypto.Signer, fingerprint [32]byte, address string) (wrapped []byte, keeper string, err error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, "", fmt.Errorf("escrow: a key of type %T cannot be stored", key)
	}
	defer clear(der)
	return wrap(ctx, k, der, Bound(fingerprint, address))
}

func wrap(ctx context.Context, k Keeper, key, bound []byte) ([]byte, string, error) {
	wrapped, err := k.Wrap(ctx, key, bound)
	if err != nil {
		return nil, "", err
	}
	id, err := MasterOf(wrapped)
	if err == nil && bytes.Contains(wrapped, key) {
		err = errors.New("escrow: the keeper gave the key back unwrapped")
	}
	return wrapped, id, err
}

// Open is the reverse of Seal. public is the certificate's key; the error is
// ErrMismatch when the private key is not its other half.
func Open(ctx context.Context, k Keeper, wrapped []byte, fingerprint [32]byte, address string, public crypto.PublicKey) (crypto.Signer, error) {
	der, err := k.Unwrap(ctx, wrapped, Bound(fingerprint, address))
	if err != nil {
		return nil, err
	}
	defer clear(der)
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, ErrOpen // the parser's error may quote what it read
	}
	signer, ok := key.(crypto.Signer)
	if !ok || !samePublic(signer.Public(), public) {
		return nil, ErrMismatch
	}
	return signer, nil
}

func samePublic(a, b crypto.PublicKey) bool {
	switch a := a.(type) {
	case *rsa.PublicKey:
		return a.Equal(b)
	case *ecdsa.PublicKey:
		if b, ok := b.(*ecdh.PublicKey); ok { // as certificate.Certificate has it
			a, err := a.ECDH()
			return err == nil && a.Equal(b)
		}
		return a.Equal(b)
	}
	return false
}

// Rewrap wraps anew what another master key had wrapped.
func Rewrap(ctx context.Context, k Keeper, wrapped []byte, fingerprint [32]byte, address string) ([]byte, string, error) {
	bound := Bound(fingerprint, address)
	key, err := k.Unwrap(ctx, wrapped, bound)
	if err != nil {
		return nil, "", err
	}
	defer clear(key)
	return wrap(ctx, k, key, bound)
}

// Check has the keeper wrap and unwrap something: after it, ID names the master
// key that wraps now.
func Check(ctx context.Context, k Keeper) error {
	probe := []byte("is the master key there?")
	wrapped, _, err := wrap(ctx, k, probe, []byte("check"))
	if err != nil {
		return err
	}
	got, err := k.Unwrap(ctx, wrapped, []byte("check"))
	if err == nil && !bytes.Equal(got, probe) {
		err = ErrOpen
	}
	return err
}
