package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
)

type checkCommand struct {
	Config string `required:"" short:"c" help:"Configuration file." placeholder:"FILE"`
	Probe  bool   `help:"Also connect to upstream and ask each lookup source."`
}

// Run prints every mistake with its line, or that there is none.
func (c checkCommand) Run(ctx context.Context, s streams) error {
	cfg, err := loadConfig(c.Config, s.Err)
	if err != nil {
		return configError(err)
	}
	r, err := (&rooms{probing: c.Probe}).opened(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		return usageError{fmt.Errorf("%s: %w", c.Config, err)}
	}
	defer r.close()
	for _, problem := range r.problems() {
		fmt.Fprintln(s.Err, "warning:", problem)
	}
	if err := checkAuthority(cfg); err != nil {
		return usageError{fmt.Errorf("%s: %w", c.Config, err)}
	}
	if c.Probe {
		if err := errors.Join(r.probe(ctx, s.Out), probeDirectory(ctx, cfg, s.Out), probeEscrow(ctx, cfg, s.Out), probeMail(ctx, cfg, s.Out)); err != nil {
			return err
		}
	}
	fmt.Fprintf(s.Out, "%s: ok\n", c.Config)
	return nil
}

var errProbe = errors.New("not everything that the configuration names can be reached")
