package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"sealpost/config"
	"sealpost/directory/store"
	"sealpost/internal/address"
)

// directoryCommand works on the key database, while the server runs or not.
type directoryCommand struct {
	Import  directoryImportCommand  `cmd:"" help:"Add certificates from files: PEM, DER, PKCS #7, LDIF, CSV, or folders of them."`
	Export  directoryExportCommand  `cmd:"" help:"Write certificates to standard output."`
	List    directoryListCommand    `cmd:"" help:"List certificates in the order in which they came."`
	Show    directoryShowCommand    `cmd:"" help:"Show all that is known of an address or a certificate."`
	Status  directoryStatusCommand  `cmd:"" help:"Count what is in the database."`
	Revoke  directoryRevokeCommand  `cmd:"" help:"Never use a certificate again; this cannot be undone."`
	Hold    directoryHoldCommand    `cmd:"" help:"Do not use a certificate until it is accepted."`
	Accept  directoryAcceptCommand  `cmd:"" help:"Use a certificate that is held or superseded, in the place of others of its address."`
	Token   directoryTokenCommand   `cmd:"" help:"Make, list and delete the tokens of API clients."`
	CA      directoryCACommand      `cmd:"" name:"ca" help:"The directory's own authority: make, show and renew it."`
	Escrow  directoryEscrowCommand  `cmd:"" help:"The master key that wraps keys which the directory keeps for people: make, rotate, count."`
	Audit   directoryAuditCommand   `cmd:"" help:"What was done with certificates and keys, and proof that the record is whole."`
	Backup  directoryBackupCommand  `cmd:"" help:"Copy the database to a file, while it is in use."`
	Restore directoryRestoreCommand `cmd:"" help:"Put a backup in the place of the database, while the server is stopped."`
}

// directoryAccess says whose database.
type directoryAccess struct {
	Config string `required:"" short:"c" help:"Configuration file." placeholder:"FILE"`
}

// section reads the configuration, which must have a section directory.
func (a directoryAccess) section() (*config.Config, error) {
	cfg, err := loadConfig(a.Config, nil)
	if err != nil {
		return nil, configError(err)
	}
	if cfg.Directory == nil {
		return nil, usageError{fmt.Errorf("%s: there is no section directory", a.Config)}
	}
	return cfg, nil
}

// subsection gives the configuration and one of the sections of directory, or
// missing where it is not there.
func subsection[T any](a directoryAccess, pick func(*config.Directory) *T, missing error) (*config.Config, *T, error) {
	cfg, err := a.section()
	if err != nil {
		return nil, nil, err
	}
	part := pick(cfg.Directory)
	if part == nil {
		return nil, nil, usageError{fmt.Errorf("%s: %w", a.Config, missing)}
	}
	return cfg, part, nil
}

func (a directoryAccess) open(ctx context.Context, messages io.Writer) (*store.Store, *config.Config, error) {
	cfg, err := a.section()
	if err != nil {
		return nil, nil, err
	}
	opts, err := storeOptions(cfg.Directory, slog.New(slog.NewTextHandler(messages, &slog.HandlerOptions{Level: slog.LevelWarn})))
	if err != nil {
		return nil, nil, err
	}
	s, err := store.Open(ctx, opts)
	if err != nil {
		return nil, nil, fmt.Errorf("the directory's database: %w", err)
	}
	return s, cfg, nil
}

// storeOptions says which database a configuration means.
func storeOptions(d *config.Directory, log *slog.Logger) (store.Options, error) {
	opts := store.Options{HoldKeyChange: d.OnKeyChange == "hold", Log: log}
	if d.Store.File != "" {
		opts.URL = "sqlite:" + string(d.Store.File)
		return opts, nil
	}
	url, err := config.ReadSecret(d.Store.PostgresURLFile)
	if err != nil {
		return opts, fmt.Errorf("directory.store.postgres_url_file: %s %w", d.Store.PostgresURLFile, err)
	}
	opts.URL = url
	return opts, nil
}

// A thing is what people name a certificate or a mailbox by.
type thing struct {
	address     address.Address
	fingerprint [32]byte
	isAddress   bool
}

// parseThing reads an address, or a SHA-256 fingerprint in any usual spelling.
func parseThing(s string) (thing, error) {
	if strings.Contains(s, "@") {
		a, err := address.Parse(s)
		if err != nil {
			return thing{}, usageError{fmt.Errorf("%s: %w", s, err)}
		}
		return thing{address: a, isAddress: true}, nil
	}
	fp, err := parseFingerprint(s)
	return thing{fingerprint: fp}, err
}

var errFingerprint = errors.New("is neither a mail address nor a SHA-256 fingerprint of 64 hexadecimal digits")

// probeDirectory asks the database of a directory.
func probeDirectory(ctx context.Context, cfg *config.Config, w io.Writer) error {
	if cfg.Directory == nil {
		return nil
	}
	opts, err := storeOptions(cfg.Directory, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	s, err := store.Open(ctx, opts)
	if err != nil {
		fmt.Fprintf(w, "directory: FAILED: %v\n", err)
		return errProbe
	}
	defer s.Close()
	n, err := s.Sequence(ctx)
	if err != nil {
		fmt.Fprintf(w, "directory: FAILED: %v\n", err)
		return errProbe
	}
	fmt.Fprintf(w, "directory: ok (%d changes)\n", n)
	return nil
}
