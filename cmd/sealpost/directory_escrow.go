package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"sealpost/config"
	"sealpost/directory/ca"
	"sealpost/directory/escrow"
	"sealpost/directory/provision"
	"sealpost/lookup/fetch"
)

// errNoEscrow says where escrow begins.
var errNoEscrow = errors.New("there is no section directory.escrow: write escrow: {key_file: escrow.key} into the section directory")

// openKeeper opens what has the master key; nil where the configuration has none.
// A Vault is not asked before it is needed.
func openKeeper(c *config.DirectoryEscrow, log *slog.Logger) (escrow.Keeper, error) {
	switch {
	case c == nil:
		return nil, nil
	case c.Vault != nil:
		return openVault(c.Vault)
	}
	k, err := escrow.OpenFile(string(c.KeyFile), log)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("directory.escrow.key_file: %w: make it with sealpost directory escrow init, or, if there was one, bring its copy back", err)
	}
	if err != nil {
		return nil, fmt.Errorf("directory.escrow.key_file: %w", err)
	}
	return k, nil
}

func openVault(c *config.DirectoryVault) (escrow.Keeper, error) {
	roots, err := config.ReadRoots(c.TLSRoots)
	if err != nil {
		return nil, fmt.Errorf("directory.escrow.vault.tls_roots: %w", err)
	}
	token, err := fetch.NewTokenFile(string(c.TokenFile))
	if err != nil {
		return nil, fmt.Errorf("directory.escrow.vault.token_file: %w", err)
	}
	v, err := escrow.OpenVault(escrow.VaultOptions{
		URL: c.URL, Mount: c.Mount, Key: c.Key, Namespace: c.Namespace, Token: token.Token, RootCAs: roots,
	})
	if err != nil {
		return nil, fmt.Errorf("directory.escrow.vault: %w", err)
	}
	return v, nil
}

// provisionOptions say for whom keys are made; nil where they are not.
func (d *directoryDoor) provisionOptions(cfg *config.Config, keeper escrow.Keeper, authority *ca.Authority) (*provision.Options, error) {
	c := cfg.Directory.Provision
	if c == nil {
		return nil, nil
	}
	if keeper == nil || authority == nil {
		return nil, errors.New("directory.provision needs directory.ca and directory.escrow")
	}
	pool, err := ca.NewPool(ca.PoolOptions{Kind: ca.KeyKind(cfg.Directory.CA.Keys), Size: cfg.Directory.CA.Pool})
	if err != nil {
		return nil, fmt.Errorf("directory.ca.keys: %w", err)
	}
	d.closers = append(d.closers, pool.Close)
	return &provision.Options{
		Issuer: authority, Pool: pool, Keeper: keeper,
		Exclude: c.Exclude, DenyRoles: c.Roles == "deny", Rate: provision.Rate{PerHour: c.Rate.PerHour, Burst: c.Rate.Burst},
		Keep: c.Keep, MinRSABits: cfg.Trust.MinRSABits,
	}, nil
}

// probeEscrow tries the master key.
func probeEscrow(ctx context.Context, cfg *config.Config, w io.Writer) error {
	if cfg.Directory == nil || cfg.Directory.Escrow == nil {
		return nil
	}
	k, err := openKeeper(cfg.Directory.Escrow, slog.New(slog.DiscardHandler))
	if err == nil {
		err = escrow.Check(ctx, k)
	}
	if err != nil {
		fmt.Fprintf(w, "escrow: FAILED: %v\n", err)
		return errProbe
	}
	fmt.Fprintf(w, "escrow: ok (%s)\n", k.ID())
	return nil
}
