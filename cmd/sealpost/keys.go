package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sealpost/config"
	"sealpost/internal/address"
	"sealpost/lookup"
)

// keysCommand shows and steers what is remembered of the keys of addresses.
type keysCommand struct {
	List   keysListCommand   `cmd:"" help:"List the addresses for which a new key waits."`
	Show   keysShowCommand   `cmd:"" help:"Show the keys of addresses, with their fingerprints."`
	Accept keysAcceptCommand `cmd:"" help:"Use the key that waits from now on, in the place of the old one."`
	Refuse keysRefuseCommand `cmd:"" help:"Turn the key down that waits: it is not used, and not asked about again."`
	Forget keysForgetCommand `cmd:"" help:"Forget all keys of an address: the next ones that a source has are accepted."`
}

// keyAccess says whose memory, and how to answer.
type keyAccess struct {
	Config string `required:"" short:"c" help:"Configuration file." placeholder:"FILE"`
	JSON   bool   `help:"Write JSON, one object a line."`
}

// open finds the memory of keys.
func (a keyAccess) open(ctx context.Context, s streams) (*openDesk, error) {
	cfg, err := loadConfig(a.Config, nil)
	if err != nil {
		return nil, configError(err)
	}
	if cfg.Trust.KnownKeys == "" {
		return nil, usageError{fmt.Errorf("%s: no keys are remembered here: write trust: {known_keys: known.keys} for that", a.Config)}
	}
	return openKeys(ctx, cfg, s.Err)
}

type keysListCommand struct {
	keyAccess
	All bool `help:"Also addresses for which none waits."`
}

// Run lists addresses with their keys; --json has all of each.
func (c keysListCommand) Run(ctx context.Context, s streams) (err error) {
	desk, err := c.open(ctx, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, desk.close()) }()
	p := newPaper(s.Out)
	defer func() { err = errors.Join(err, p.end()) }()
	n := 0
	for q := (keyListing{All: c.All}); ; {
		part, err := desk.list(ctx, q)
		if err != nil {
			return err
		}
		for _, m := range part.Mailboxes {
			n++
			if !c.JSON {
				m.printShort(p)
			} else if err := p.json(m); err != nil {
				return err
			}
			q.Behind = m.Address
		}
		if !part.More || len(part.Mailboxes) == 0 {
			break
		}
	}
	if n == 0 && !c.JSON {
		p.line(0, plain, map[bool]string{true: "No keys are known yet.", false: "No key waits."}[c.All])
	}
	return nil
}

type keysShowCommand struct {
	keyAccess
	Addresses []word `arg:"" name:"address" help:"Mail addresses."`
}

// Run shows all that is known, for comparing it with the key's owner.
func (c keysShowCommand) Run(ctx context.Context, s streams) error {
	return c.each(ctx, s, c.Addresses, func(desk *openDesk, p *paper, a address.Address) error {
		known, err := desk.load(ctx, keyMailbox{a.Key()})
		if err != nil {
			return err
		}
		m := newMailboxKeys(a.Key(), known, nil)
		if m.nothing() {
			return lookup.ErrNoKeys
		}
		if c.JSON {
			return p.json(m)
		}
		m.print(p, time.Now())
		return nil
	})
}

// each does something for every address, whatever becomes of the others.
func (a keyAccess) each(ctx context.Context, s streams, addresses []word, do func(*openDesk, *paper, address.Address) error) (err error) {
	all, err := parseAddresses(addresses)
	if err != nil {
		return err
	}
	desk, err := a.open(ctx, s)
	if err != nil {
		return err
	}
	p := newPaper(s.Out)
	var errs []error
	for _, addr := range all {
		if err := do(desk, p, addr); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", addr, err))
		}
	}
	return errors.Join(append(errs, p.end(), desk.close())...)
}

// parseAddresses reads all of them before anything is done.
func parseAddresses(texts []word) ([]address.Address, error) {
	var all []address.Address
	for _, text := range texts {
		a, err := address.Parse(string(text))
		if err != nil {
			return nil, usageError{fmt.Errorf("%s: %w", text, err)}
		}
		all = append(all, a)
	}
	return all, nil
}

// keyChoice is whose keys, and which of them where several wait.
type keyChoice struct {
	keyAccess
	Key       []fingerprint `help:"SHA-256 of the key or of its certificate, where several wait." placeholder:"SHA256" sep:"none"`
	Addresses []word        `arg:"" name:"address" help:"Mail addresses."`
}

// A fingerprint is a SHA-256 in any spelling.
type fingerprint lookup.Fingerprint

// UnmarshalText reads it.
func (f *fingerprint) UnmarshalText(text []byte) error {
	parsed, err := lookup.ParseFingerprint(string(text))
	*f = fingerprint(parsed)
	return err
}

type keysAcceptCommand struct{ keyChoice }

// Run accepts keys.
func (c keysAcceptCommand) Run(ctx context.Context, s streams) error {
	return c.order(ctx, s, "accept", "accepted: mail is sealed to it from now on")
}

type keysRefuseCommand struct{ keyChoice }

// Run refuses keys.
func (c keysRefuseCommand) Run(ctx context.Context, s streams) error {
	return c.order(ctx, s, "refuse", "refused: it will not be used")
}

type keysForgetCommand struct {
	keyAccess
	Addresses []word `arg:"" name:"address" help:"Mail addresses."`
}

// Run forgets addresses.
func (c keysForgetCommand) Run(ctx context.Context, s streams) error {
	return keyChoice{keyAccess: c.keyAccess, Addresses: c.Addresses}.order(ctx, s, "forget", "forgotten: the next key that a source has is accepted")
}

// order gives one order for each address.
func (c keyChoice) order(ctx context.Context, s streams, do, done string) error {
	if len(c.Key) > 0 && len(c.Addresses) > 1 {
		return usageError{errors.New("sealpost: --key is for one address at a time")}
	}
	o := keyOrder{Do: do}
	for _, f := range c.Key {
		o.Keys = append(o.Keys, lookup.Fingerprint(f))
	}
	return c.each(ctx, s, c.Addresses, func(desk *openDesk, p *paper, a address.Address) error {
		o.Address = a.String()
		answer, err := desk.order(ctx, o)
		if err != nil {
			return err
		}
		switch problem := keyProblems[answer.Problem]; {
		case errors.Is(problem, lookup.ErrSeveralHeld):
			return fmt.Errorf("%w: name the one that is meant with --key; sealpost keys show %s has their fingerprints", problem, a)
		case problem != nil:
			return problem
		case answer.Problem != "":
			return errors.New(answer.Problem)
		}
		if c.JSON {
			return p.json(newMailboxKeys(a.Key(), answer.Known, nil))
		}
		p.headline(a.String(), plain, done)
		if do == "accept" {
			for _, k := range keyReports(answer.Known.Accepted) {
				k.print(p, "in use", green, time.Now())
			}
		}
		return nil
	})
}

// openKnownKeys opens the file that all rooms of a server share; nil without.
func openKnownKeys(cfg *config.Config) (*lookup.KeyFile, error) {
	if cfg.Trust.KnownKeys == "" {
		return nil, nil
	}
	f, err := lookup.OpenKeyFile(string(cfg.Trust.KnownKeys))
	if err != nil {
		return nil, fmt.Errorf("trust.known_keys: %w", err)
	}
	return f, nil
}
