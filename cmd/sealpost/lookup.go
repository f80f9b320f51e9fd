package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"sealpost/config"
	"sealpost/internal/address"
	"sealpost/lookup"
	"sealpost/relay/control"
)

type lookupCommand struct {
	Config    string `required:"" short:"c" help:"Configuration file." placeholder:"FILE"`
	JSON      bool   `help:"Write JSON, one object a line."`
	Refresh   bool   `help:"Have the running server ask its sources now, and remember the answer."`
	Flush     bool   `help:"Have the running server forget what it remembers of the addresses."`
	All       bool   `help:"With --flush: everything that it remembers."`
	Addresses []word `arg:"" optional:"" name:"address" help:"Mail addresses."`
}

// Run asks the configured sources afresh, and the running server what it
// remembers. The exit code is 1 when some address has no usable certificate or
// could not be looked up.
func (c lookupCommand) Run(ctx context.Context, s streams) error {
	if err := c.usage(); err != nil {
		return usageError{err}
	}
	all, err := parseAddresses(c.Addresses)
	if err != nil {
		return err
	}
	cfg, err := loadConfig(c.Config, nil)
	if err != nil {
		return configError(err)
	}
	client, absent := dialServer(ctx, cfg)
	if client != nil {
		defer client.Close()
	}
	switch {
	case c.Flush:
		return c.flush(ctx, s, cfg, client, absent, all)
	case c.Refresh && absent != nil:
		return fmt.Errorf("%w: nobody would remember the answer; without --refresh the sources are asked all the same", absent)
	case c.Refresh:
		return c.show(s, all, func(a address.Address) (lookupReport, error) {
			report, err := control.Ask[lookupReport](ctx, client, callLookupRefresh, lookupQuery{a.String()})
			report.remember(ctx, client, nil)
			return report, err
		})
	}
	r, err := openRooms(cfg, slog.New(slog.NewTextHandler(s.Err, &slog.HandlerOptions{Level: slog.LevelWarn})))
	if err != nil {
		return err
	}
	defer r.close()
	return c.show(s, all, func(a address.Address) (lookupReport, error) {
		report := r.report(a, r.standIns(r.source).Lookup(ctx, a), time.Now())
		report.remember(ctx, client, absent)
		if absent != nil {
			report.rememberFile(cfg)
		}
		if r.blind != nil {
			report.Server.Error = "a key that has changed is not noticed here: " + r.blind.Error()
		}
		return report, nil
	})
}

func (c lookupCommand) usage() error {
	switch {
	case c.Refresh && c.Flush:
		return errors.New("sealpost: --refresh and --flush are not for one call: --refresh replaces what is remembered")
	case c.All && !c.Flush:
		return errors.New("sealpost: --all is for --flush")
	case c.All == (len(c.Addresses) > 0) && c.Flush:
		return errors.New("sealpost: name addresses, or say --all for everything that is remembered, but not both")
	case len(c.Addresses) == 0 && !c.Flush:
		return errors.New("sealpost: name the addresses to look up; sealpost lookup --help lists the options")
	}
	return nil
}

var errNotAllFound = errors.New("not every address has a usable certificate that could be looked up")

// show writes a report about each address.
func (c lookupCommand) show(s streams, all []address.Address, of func(address.Address) (lookupReport, error)) error {
	p := newPaper(s.Out)
	found := true
	for i, a := range all {
		report, err := of(a)
		if err != nil {
			return errors.Join(fmt.Errorf("%s: %w", a, err), p.end())
		}
		found = found && report.Outcome == lookup.Found.String() && report.Cipher != ""
		if c.JSON {
			err = p.json(report)
		} else {
			if i > 0 {
				p.blank()
			}
			report.print(p)
		}
		if err = errors.Join(err, p.end()); err != nil {
			return err
		}
	}
	if !found {
		return errNotAllFound
	}
	return nil
}

// flush has everybody forget who remembers.
func (c lookupCommand) flush(ctx context.Context, s streams, cfg *config.Config, client *control.Client, absent error, all []address.Address) error {
	if absent != nil && !errors.Is(absent, errNotRunning) {
		return absent
	}
	do := func(q flushQuery) (flushAnswer, error) {
		if client == nil {
			return flushFile(cfg, q)
		}
		return control.Ask[flushAnswer](ctx, client, callLookupFlush, q)
	}
	if absent != nil {
		fmt.Fprintf(s.Err, "sealpost: %v: what it keeps in memory is forgotten when it stops\n", absent)
	}
	queries := []flushQuery{{All: true}}
	if !c.All {
		queries = nil
		for _, a := range all {
			queries = append(queries, flushQuery{Address: a.String()})
		}
	}
	p := newPaper(s.Out)
	for _, q := range queries {
		answer, err := do(q)
		if err != nil {
			return errors.Join(err, p.end())
		}
		if c.JSON {
			err = p.json(answer)
		} else {
			p.line(0, plain, answer.String())
		}
		if err != nil {
			return err
		}
	}
	return p.end()
}
