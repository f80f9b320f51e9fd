package main

import (
	"context"
	"errors"
	"fmt"

	"sealpost/directory/store"
)

// directoryOrder gives certificates another status.
type directoryOrder struct {
	directoryAccess
	Why          string   `help:"The reason, in words for other operators." placeholder:"TEXT"`
	Fingerprints []string `arg:"" name:"sha256" help:"SHA-256 fingerprints, as directory show and list --json have them."`
}

// run goes on after a certificate with which it cannot be done.
func (c directoryOrder) run(ctx context.Context, s streams, status store.Status, done string) error {
	var fingerprints [][32]byte
	for _, text := range c.Fingerprints {
		fp, err := parseFingerprint(text)
		if err != nil {
			return err
		}
		fingerprints = append(fingerprints, fp)
	}
	db, _, err := c.open(ctx, s.Err)
	if err != nil {
		return err
	}
	defer db.Close()
	var errs []error
	for i, fp := range fingerprints {
		if err := db.SetStatus(ctx, fp, status, c.Why); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", c.Fingerprints[i], err))
			continue
		}
		fmt.Fprintf(s.Out, "%x %s\n", fp, done)
	}
	return errors.Join(errs...)
}

type directoryRevokeCommand struct {
	directoryOrder
	Reason string `help:"For lists and OCSP, where the directory's own authority issued it: key-compromise, affiliation-changed, superseded, cessation-of-operation or privilege-withdrawn." enum:",key-compromise,affiliation-changed,superseded,cessation-of-operation,privilege-withdrawn" default:"" placeholder:"REASON"`
}

// Run revokes.
func (c directoryRevokeCommand) Run(ctx context.Context, s streams) error {
	switch {
	case c.Reason != "" && c.Why != "":
		c.Why = c.Reason + ": " + c.Why // where ca.Reasons are found
	case c.Reason != "":
		c.Why = c.Reason
	}
	return c.run(ctx, s, store.StatusRevoked, "revoked")
}

type directoryHoldCommand struct{ directoryOrder }

// Run holds.
func (c directoryHoldCommand) Run(ctx context.Context, s streams) error {
	return c.run(ctx, s, store.StatusHeld, "held")
}

type directoryAcceptCommand struct{ directoryOrder }

// Run accepts.
func (c directoryAcceptCommand) Run(ctx context.Context, s streams) error {
	return c.run(ctx, s, store.StatusActive, "active")
}
