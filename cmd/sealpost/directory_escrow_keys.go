package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"sealpost/config"
	"sealpost/directory/escrow"
	"sealpost/directory/provision"
	"sealpost/directory/store"
)

// directoryEscrowCommand is about the master key that wraps private keys which
// the directory keeps for people.
type directoryEscrowCommand struct {
	Init    escrowInitCommand   `cmd:"" help:"Make the file with the master key."`
	Status  escrowStatusCommand `cmd:"" help:"Count the keys in escrow, by the master key that wraps them."`
	Rotate  escrowRotateCommand `cmd:"" help:"Make another master key the one that wraps, and wrap every key anew, while the server runs."`
	AddKey  escrowAddCommand    `cmd:"" name:"add-key" help:"Add a master key that is known, and wraps nothing yet: the first step where there are several nodes."`
	DropKey escrowDropCommand   `cmd:"" name:"drop-key" help:"Take a master key out of the file that wraps nothing any more."`
	Delete  escrowDeleteCommand `cmd:"" help:"Delete somebody's key from escrow; this cannot be undone."`
}

// escrowSection gives the configuration and its section directory.escrow.
func (a directoryAccess) escrowSection() (*config.Config, *config.DirectoryEscrow, error) {
	return subsection(a, func(d *config.Directory) *config.DirectoryEscrow { return d.Escrow }, errNoEscrow)
}

// errVaultKeys says that there is no file.
var errVaultKeys = errors.New("the master key is in Vault: make and rotate it there (vault write -f transit/keys/NAME/rotate), then say escrow rotate")

// keyFile gives the file of master keys.
func (a directoryAccess) keyFile() (string, error) {
	_, c, err := a.escrowSection()
	if err != nil {
		return "", err
	}
	if c.Vault != nil {
		return "", usageError{errVaultKeys}
	}
	return string(c.KeyFile), nil
}

type escrowInitCommand struct{ directoryAccess }

// Run makes the file.
func (c escrowInitCommand) Run(s streams) error {
	path, err := c.keyFile()
	if err != nil {
		return err
	}
	m, err := escrow.CreateFile(path, time.Now())
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%s is there already, and is not overwritten: what it wrapped would be lost", path)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(s.Out, "%s\n", m.ID)
	fmt.Fprintf(s.Err, `%s has a new master key now.
- Only the user that runs sealpost may read it: chown it to that user.
- Make a copy on another medium, and lock it away: without this file nobody can
  claim a key, and mail that was sealed to those keys cannot be read.
- Never keep it beside a backup of the database: with both, all of it can be read.
`, path)
	return nil
}

type escrowStatusCommand struct {
	directoryAccess
	JSON bool `help:"Write JSON."`
}

type escrowReport struct {
	Wraps     string         `json:"wraps"`
	Masters   []masterReport `json:"masters"`
	Unclaimed int64          `json:"unclaimed"`
	Claimed   int64          `json:"claimed"`
	Deleted   int64          `json:"deleted"`
}

type masterReport struct {
	Name    string    `json:"name"`
	Created time.Time `json:"created,omitzero"`
	Here    bool      `json:"here"`
	Keys    int64     `json:"keys"`
}

// Run counts.
func (c escrowStatusCommand) Run(ctx context.Context, s streams) error {
	report, err := c.report(ctx, s)
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(s.Out).Encode(report)
	}
	fmt.Fprintf(s.Out, "unclaimed %d, claimed and still here %d, deleted %d\n", report.Unclaimed, report.Claimed, report.Deleted)
	for _, m := range report.Masters {
		text := "opens"
		switch {
		case m.Name == report.Wraps:
			text = "wraps"
		case !m.Here:
			text = "MISSING: its keys cannot be opened"
		}
		fmt.Fprintf(s.Out, "%-30s %8d keys  %s\n", printable(m.Name), m.Keys, text)
	}
	return nil
}

func (c escrowStatusCommand) report(ctx context.Context, s streams) (r escrowReport, err error) {
	_, section, err := c.escrowSection()
	if err != nil {
		return r, err
	}
	db, _, err := c.open(ctx, s.Err)
	if err != nil {
		return r, err
	}
	defer db.Close()
	counts, err := db.CountKeys(ctx)
	if err != nil {
		return r, err
	}
	r.Unclaimed, r.Claimed, r.Deleted = counts.Unclaimed, counts.Claimed, counts.Deleted
	k, err := openKeeper(section, slog.New(slog.DiscardHandler))
	if err == nil {
		err = escrow.Check(ctx, k)
	}
	if err != nil {
		return r, err
	}
	r.Wraps = k.ID()
	known := map[string]masterReport{}
	if section.Vault == nil {
		ring, err := escrow.ReadFile(string(section.KeyFile))
		if err != nil {
			return r, err
		}
		for _, m := range ring {
			known[m.Name()] = masterReport{Name: m.Name(), Created: m.Created, Here: true}
		}
	} else {
		known[r.Wraps] = masterReport{Name: r.Wraps, Here: true}
	}
	for name, n := range counts.Keepers {
		m := known[name]
		m.Name, m.Keys = name, n
		// Which versions Vault still opens, Vault knows.
		m.Here = m.Here || section.Vault != nil && strings.HasPrefix(name, "vault:")
		known[name] = m
	}
	for _, name := range slices.Sorted(maps.Keys(known)) {
		r.Masters = append(r.Masters, known[name])
	}
	return r, nil
}

type escrowAddCommand struct{ directoryAccess }

// Run adds.
func (c escrowAddCommand) Run(s streams) error {
	path, err := c.keyFile()
	if err != nil {
		return err
	}
	m, err := escrow.AddMaster(path, time.Now())
	if err != nil {
		return err
	}
	fmt.Fprintln(s.Out, m.ID)
	fmt.Fprintf(s.Err, "%s is known now, and wraps nothing yet: copy %s to every node, and make a copy for the safe; then say escrow rotate\n", m.ID, path)
	return nil
}

type escrowRotateCommand struct{ directoryAccess }

// Run rotates. Said again, it goes on where it was interrupted.
func (c escrowRotateCommand) Run(ctx context.Context, s streams) error {
	_, section, err := c.escrowSection()
	if err != nil {
		return err
	}
	db, _, err := c.open(ctx, s.Err)
	if err != nil {
		return err
	}
	defer db.Close()
	if section.Vault == nil {
		if err := c.nextMaster(ctx, s, db, string(section.KeyFile)); err != nil {
			return err
		}
	}
	k, err := openKeeper(section, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	if err := escrow.Check(ctx, k); err != nil { // and then it has a name
		return err
	}
	done, err := provision.Rewrap(ctx, db, k, "operator")
	fmt.Fprintf(s.Out, "%d keys are wrapped under %s now\n", done.Keys, k.ID())
	if err != nil {
		return fmt.Errorf("%d keys could not be wrapped anew, and stay as they were; say escrow rotate again: %w", done.Failed, err)
	}
	return nil
}

// nextMaster chooses the master key that will wrap: the newest one of the file.
// When that one wraps already, it is either the one of a rotation that was
// interrupted, or another one is due.
func (c escrowRotateCommand) nextMaster(ctx context.Context, s streams, db *store.Store, path string) error {
	ring, err := escrow.ReadFile(path)
	if err != nil {
		return err
	}
	next := ring[len(ring)-1]
	if len(ring) == 1 || !next.Created.After(ring[0].Created) {
		counts, err := db.CountKeys(ctx)
		if err != nil {
			return err
		}
		for name := range counts.Keepers {
			if name != ring[0].Name() {
				return nil // go on
			}
		}
		if next, err = escrow.AddMaster(path, time.Now()); err != nil {
			return err
		}
		fmt.Fprintf(s.Err, "%s has a new master key, %s: make a copy for the safe\n", path, next.ID)
	}
	return escrow.UseMaster(path, next.ID)
}

type escrowDropCommand struct {
	directoryAccess
	ID string `arg:"" help:"Id of the master key, as escrow status has it."`
}

// Run drops a key that nothing is wrapped under.
func (c escrowDropCommand) Run(ctx context.Context, s streams) error {
	path, err := c.keyFile()
	if err != nil {
		return err
	}
	db, _, err := c.open(ctx, s.Err)
	if err != nil {
		return err
	}
	defer db.Close()
	counts, err := db.CountKeys(ctx)
	if err != nil {
		return err
	}
	id := strings.TrimPrefix(c.ID, "file:")
	if n := counts.Keepers["file:"+id]; n > 0 {
		return fmt.Errorf("%d keys are wrapped under %s: say escrow rotate first", n, printable(id))
	}
	if err := escrow.DropMaster(path, id); err != nil {
		return fmt.Errorf("%s: %w", printable(c.ID), err)
	}
	fmt.Fprintf(s.Err, "%s is not in %s any more: backups of the database from before the rotation open nothing without a copy of it\n", printable(id), path)
	return nil
}
