package main

import (
	"context"
	"encoding/json"
	"fmt"

	"sealpost/directory/store"
)

type directoryStatusCommand struct {
	directoryAccess
	JSON bool `help:"Write JSON."`
}

// Run counts.
func (c directoryStatusCommand) Run(ctx context.Context, s streams) error {
	db, _, err := c.open(ctx, s.Err)
	if err != nil {
		return err
	}
	defer db.Close()
	stats, err := db.Stats(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(s.Out).Encode(struct {
			Certificates map[store.Status]int64 `json:"certificates"`
			Addresses    int64                  `json:"addresses"`
			Sequence     uint64                 `json:"sequence"`
			Bytes        int64                  `json:"bytes"`
		}{stats.Certificates, stats.Addresses, stats.Sequence, stats.Bytes})
	}
	for _, status := range []store.Status{store.StatusActive, store.StatusHeld, store.StatusSuperseded, store.StatusRevoked, store.StatusExpired} {
		fmt.Fprintf(s.Out, "%-11s %d\n", status, stats.Certificates[status])
	}
	fmt.Fprintf(s.Out, "addresses   %d\nchanges     %d\nsize        %d MiB\n", stats.Addresses, stats.Sequence, stats.Bytes>>20)
	return nil
}
