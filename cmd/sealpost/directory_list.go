package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"sealpost/directory/store"
	"sealpost/internal/address"
	"strings"
	"time"
)

// directoryFilter chooses certificates. All conditions that are given must hold.
type directoryFilter struct {
	Status  string `enum:"active,held,superseded,revoked,expired,any" default:"any" help:"Only those of this status." placeholder:"STATUS"`
	Origin  string `enum:"import,harvest,api,issued,any" default:"any" help:"Only those that came by this way." placeholder:"ORIGIN"`
	Domain  word   `help:"Only those for an address in this domain." placeholder:"DOMAIN"`
	Address word   `help:"Only those for this address." placeholder:"ADDRESS"`
}

func (f directoryFilter) filter() (store.Filter, error) {
	out := store.Filter{Domain: string(f.Domain)}
	if f.Status != "any" {
		out.Status = store.Status(f.Status)
	}
	if f.Origin != "any" {
		out.Origin = store.Origin(f.Origin)
	}
	if f.Address != "" {
		a, err := address.Parse(string(f.Address))
		if err != nil {
			return out, usageError{fmt.Errorf("--address %s: %w", f.Address, err)}
		}
		out.Address = a.Key()
	}
	return out, nil
}

// entries goes over what a filter chooses, a page of the database at a time.
func entries(ctx context.Context, db *store.Store, f store.Filter) iter.Seq2[store.Certificate, error] {
	const page = 1000
	return func(yield func(store.Certificate, error) bool) {
		for after := [32]byte{}; ; {
			some, err := db.List(ctx, f, after, page)
			if err != nil {
				yield(store.Certificate{}, err)
				return
			}
			for _, c := range some {
				if !yield(c, nil) {
					return
				}
				after = c.Cert.Fingerprint()
			}
			if len(some) < page {
				return
			}
		}
	}
}

type directoryListCommand struct {
	directoryAccess
	directoryFilter
	JSON bool `help:"Write JSON, one object a line."`
}

// Run lists one certificate a line.
func (c directoryListCommand) Run(ctx context.Context, s streams) error {
	filter, err := c.filter()
	if err != nil {
		return err
	}
	db, _, err := c.open(ctx, s.Err)
	if err != nil {
		return err
	}
	defer db.Close()
	out := bufio.NewWriter(s.Out)
	for one, err := range entries(ctx, db, filter) {
		if err != nil {
			return errors.Join(err, out.Flush())
		}
		if err := c.line(out, newEntryReport(one)); err != nil {
			return err
		}
	}
	return out.Flush()
}

func (c directoryListCommand) line(w io.Writer, r entryReport) error {
	if c.JSON {
		return json.NewEncoder(w).Encode(r)
	}
	_, err := fmt.Fprintf(w, "%.16s  %-10s  %-8s  %s  %-10s  %s\n",
		r.SHA256, r.Status, r.Origin, r.NotAfter.Format(time.DateOnly), r.Key, printable(strings.Join(r.Addresses, " ")))
	return err
}
