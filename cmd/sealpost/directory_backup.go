package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"sealpost/directory/store"
)

type directoryBackupCommand struct {
	directoryAccess
	File string `arg:"" name:"file" help:"The backup; it must not exist yet."`
}

// Run copies the database while it is in use.
func (c directoryBackupCommand) Run(ctx context.Context, s streams) error {
	db, _, err := c.open(ctx, s.Err)
	if err != nil {
		return err
	}
	defer db.Close()
	if err := db.Backup(ctx, c.File); err != nil {
		return fmt.Errorf("nothing was backed up: %w", err)
	}
	info, err := os.Stat(c.File)
	if err != nil {
		return err
	}
	fmt.Fprintf(s.Err, "%s: %d KiB; it holds the certificates, where they came from, and the hashes of tokens\n", c.File, (info.Size()+1023)>>10)
	return nil
}

type directoryRestoreCommand struct {
	directoryAccess
	File string `arg:"" name:"file" help:"The backup."`
}

// Run replaces the database.
func (c directoryRestoreCommand) Run(ctx context.Context, s streams) error {
	cfg, err := c.section()
	if err != nil {
		return err
	}
	if cfg.Directory.Store.File == "" {
		return usageError{store.ErrServer}
	}
	file := string(cfg.Directory.Store.File)
	if err := store.Restore(ctx, c.File, "sqlite:"+file); err != nil {
		return fmt.Errorf("nothing was restored: %w", err)
	}
	// The first one to open it gives it its new epoch. That it can be opened is
	// better known now than when the server starts.
	db, _, err := c.open(ctx, s.Err)
	if err != nil {
		return fmt.Errorf("%s was restored, but: %w", file, err)
	}
	stats, err := db.Stats(ctx)
	if err = errors.Join(err, db.Close()); err != nil {
		return fmt.Errorf("%s was restored, but: %w", file, err)
	}
	fmt.Fprintf(s.Err, "%s: restored; %d addresses. Whoever follows its changes begins anew\n", file, stats.Addresses)
	return nil
}
