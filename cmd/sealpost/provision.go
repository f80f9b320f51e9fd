package main

import (
	"context"
	"errors"
	"log/slog"

	"sealpost/config"
	"sealpost/directory/provision"
	"sealpost/internal/address"
	"sealpost/internal/reason"
	"sealpost/lookup"
	"sealpost/lookup/keydb"
	"sealpost/relay"
	"sealpost/relay/policy"
)

// A keyMaker has a directory make keys, and judges what it gives as a lookup in
// that source is judged.
type keyMaker struct {
	ask    func(ctx context.Context, to address.Address, r relay.ProvisionRequest) (a keydb.Answer, created bool, err error)
	judge  func(lookup.Source) (lookup.Source, error)
	forget func(address.Address) // that nothing was found
}

// Provision asks for a key.
func (k *keyMaker) Provision(ctx context.Context, to address.Address, r relay.ProvisionRequest) (relay.Provisioned, error) {
	answer, created, err := k.ask(ctx, to, r)
	if err != nil {
		return relay.Provisioned{}, notProvisioned(err)
	}
	given, err := lookup.NewDirectory(lookup.DirectoryOptions{
		Find: func(context.Context, address.Address) ([]keydb.Certificate, error) { return answer.Certificates, nil },
	})
	if err != nil {
		return relay.Provisioned{}, err
	}
	source, err := k.judge(given)
	if err != nil {
		return relay.Provisioned{}, err
	}
	k.forget(to)
	return relay.Provisioned{Answer: source.Lookup(ctx, to), Created: created}, nil
}

// notProvisioned tells a directory that says no from one that has trouble.
func notProvisioned(err error) error {
	token, why := reason.None, ""
	var refusal *provision.Refusal
	var problem *keydb.Problem
	switch {
	case errors.As(err, &refusal):
		token = refusal.Reason
	case errors.As(err, &problem) && problem.IsRefusal():
		token = problem.Reason
	}
	switch token {
	case reason.ProvisionExcluded:
		why = "the directory makes no key for this recipient"
	case reason.ProvisionRole:
		why = "the directory makes no key for the address of a role"
	case reason.ProvisionRate:
		return &relay.NotProvisioned{Reason: token, Why: "the directory makes no more keys for now, try again later", Temporary: true}
	default:
		return err
	}
	return &relay.NotProvisioned{Reason: token, Why: why}
}

// provisions reports that a rule wants keys made.
func provisions(rules []policy.Rule) bool {
	for _, r := range rules {
		if r.Encrypt == policy.Always && r.NoKey == policy.Provision {
			return true
		}
	}
	return false
}

// openKeyMaker opens what asks for keys, where a rule wants that. A command has
// none: it makes no keys.
func (r *rooms) openKeyMaker(cfg *config.Config, log *slog.Logger) error {
	s := cfg.Provisioning()
	if !r.serving || s == nil || !provisions(cfg.Rules()) {
		return nil
	}
	k := &keyMaker{forget: r.forgetAnswer}
	k.judge = func(source lookup.Source) (lookup.Source, error) { return r.judged(source, s, log) }
	if s.URL == "" {
		k.ask = r.askOwnDirectory
		r.settings.Provisioner = k
		return nil
	}
	opts, err := directoryClient(s)
	if err != nil {
		return err
	}
	client, err := keydb.New(opts)
	if err != nil {
		return err
	}
	r.closers = append(r.closers, client.Close)
	k.ask = func(ctx context.Context, to address.Address, p relay.ProvisionRequest) (keydb.Answer, bool, error) {
		return client.Provision(ctx, keydb.ProvisionRequest{
			Address: to.Key(), Secret: p.Secret, References: p.References, Language: p.Language, Sender: p.Sender.String(),
		})
	}
	r.settings.Provisioner = k
	return nil
}

// askOwnDirectory asks the directory of this process.
func (r *rooms) askOwnDirectory(ctx context.Context, to address.Address, p relay.ProvisionRequest) (keydb.Answer, bool, error) {
	return r.directory.Provision(ctx, provision.Request{
		Address: to, Secret: p.Secret, References: p.References, Language: p.Language, Sender: p.Sender.String(), Actor: "relay",
	})
}

// judged puts around a source what stands around it in lookups: trust, and the
// memory of keys.
func (r *rooms) judged(source lookup.Source, s *config.Source, log *slog.Logger) (lookup.Source, error) {
	trusted, err := lookup.NewTrusted(source, r.trustOptions(s))
	if err != nil || r.keyring == nil {
		return trusted, err
	}
	return lookup.NewKeyring(trusted, lookup.KeyringOptions{Hold: r.cfg.Trust.OnKeyChange == "hold", Memory: r.known, Log: log})
}

// forgetAnswer has the cache ask again.
func (r *rooms) forgetAnswer(a address.Address) {
	if cache := r.cache.Load(); cache != nil {
		cache.Flush(a)
	}
}
