package main

import (
	"fmt"
	"log/slog"

	"sealpost/config"
	"sealpost/directory/api"
	"sealpost/directory/harvest"
	"sealpost/lookup"
	"sealpost/lookup/outbound"
	"sealpost/lookup/revocation"
)

// openHarvester opens what reads signed mail; nil where nobody vouches for
// signers. It asks authorities about them as the relay does about recipients,
// but has all the time that a learner may take.
func (d *directoryDoor) openHarvester(cfg *config.Config, log *slog.Logger) (api.Harvester, error) {
	c := cfg.Directory.Harvest
	roots, err := readRoots(cfg.Trust.Roots)
	if err != nil {
		return nil, err
	}
	trust := lookup.TrustOptions{
		Roots: roots, SystemRoots: cfg.Trust.SystemRoots, MinRSABits: cfg.Trust.MinRSABits, FoldLocal: cfg.Trust.FoldLocalPart,
	}
	switch {
	case c.Trust == "any":
		trust.Vouch = lookup.Itself
	case len(roots) == 0 && !cfg.Trust.SystemRoots:
		return nil, nil
	case cfg.Trust.Revocation != "off":
		if err := d.openRevocation(&trust, &cfg.Trust, log); err != nil {
			return nil, err
		}
	}
	return harvest.New(harvest.Options{Trust: trust, MaxAge: c.MaxAge, MaxSize: int64(c.Size)})
}

func (d *directoryDoor) openRevocation(trust *lookup.TrustOptions, t *config.Trust, log *slog.Logger) error {
	client := outbound.New(outbound.Options{Timeout: t.Fetch.Timeout, Networks: t.Fetch.Networks})
	d.closers = append(d.closers, client.Close)
	o := checkerOptions(t, client, log)
	o.Wait = patientWait
	checker, err := revocation.New(o)
	if err != nil {
		return fmt.Errorf("trust.fetch: %w", err)
	}
	d.closers = append(d.closers, checker.Close)
	trust.Revoker, trust.Hard = checker, t.Revocation == "hard"
	return nil
}
