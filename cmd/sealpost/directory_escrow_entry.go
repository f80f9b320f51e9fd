package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sealpost/directory/store"
)

// An escrowEntry is what show tells of the key of a certificate that the
// directory issued.
type escrowEntry struct {
	Created  time.Time `json:"created"`
	Master   string    `json:"master"`
	Secret   bool      `json:"second_factor"`
	Claimed  time.Time `json:"claimed,omitzero"`
	Deleted  time.Time `json:"deleted,omitzero"`
	Deleting time.Time `json:"deleting,omitzero"`
}

// String is for people.
func (e *escrowEntry) String() string {
	text := "made " + e.Created.Format(time.DateOnly)
	if e.Claimed.IsZero() {
		text += ", not claimed"
	} else {
		text += ", claimed " + e.Claimed.Format(time.DateOnly)
	}
	switch {
	case !e.Deleted.IsZero():
		return text + ", deleted " + e.Deleted.Format(time.DateOnly)
	case e.Secret:
		text += ", with a second factor"
	}
	if !e.Deleting.IsZero() {
		text += ", kept until " + e.Deleting.Format(time.DateOnly)
	}
	return text + ", wrapped by " + e.Master
}

// findEscrow looks for the key of a certificate; nil when the directory never had
// it.
func findEscrow(ctx context.Context, db *store.Store, c store.Certificate) (*escrowEntry, error) {
	if c.Origin != store.OriginIssued {
		return nil, nil
	}
	k, err := db.KeyOf(ctx, c.Cert.Fingerprint())
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, nil
	case err != nil && !errors.Is(err, store.ErrKeyDeleted):
		return nil, err
	}
	e := &escrowEntry{Created: k.Created, Master: k.Keeper, Secret: k.Secret != "", Claimed: k.Claimed, Deleted: k.Deleted}
	if k.Deleted.IsZero() {
		e.Deleting = k.Expires
	}
	return e, nil
}

type escrowDeleteCommand struct {
	directoryAccess
	Why    string   `required:"" help:"The reason, for the audit log." placeholder:"TEXT"`
	Things []string `arg:"" name:"what" help:"Mail addresses, or SHA-256 fingerprints of certificates."`
}

// Run deletes keys. It goes on after one with which it cannot be done.
func (c escrowDeleteCommand) Run(ctx context.Context, s streams) error {
	var things []thing
	for _, text := range c.Things {
		t, err := parseThing(text)
		if err != nil {
			return err
		}
		things = append(things, t)
	}
	db, _, err := c.open(ctx, s.Err)
	if err != nil {
		return err
	}
	defer db.Close()
	var errs []error
	for i, t := range things {
		if err := c.delete(ctx, s, db, t); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", c.Things[i], err))
		}
	}
	return errors.Join(errs...)
}

// errNoKey says that there is nothing to delete.
var errNoKey = errors.New("no key is in escrow")

func (c escrowDeleteCommand) delete(ctx context.Context, s streams, db *store.Store, t thing) error {
	fingerprints := [][32]byte{t.fingerprint}
	if t.isAddress {
		keys, err := db.KeysOf(ctx, t.address.Key())
		if err != nil {
			return err
		}
		fingerprints = nil
		for _, k := range keys {
			if k.Deleted.IsZero() {
				fingerprints = append(fingerprints, k.Fingerprint)
			}
		}
		if len(fingerprints) == 0 {
			return errNoKey
		}
	}
	for _, f := range fingerprints {
		k, err := db.KeyOf(ctx, f)
		if err == nil {
			err = db.DeleteKey(ctx, f, "operator", c.Why)
		}
		if errors.Is(err, store.ErrNotFound) {
			err = errNoKey
		}
		if err != nil {
			return err
		}
		fmt.Fprintf(s.Out, "%x deleted\n", f)
		if k.Claimed.IsZero() {
			fmt.Fprintf(s.Err, "nobody had claimed it: its certificate is revoked, and mail that was sealed to it cannot be read\n")
		}
	}
	return nil
}
