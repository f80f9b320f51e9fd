package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"slices"
	"sync"

	"sealpost/config"
	"sealpost/lookup"
)

// openKeyring puts the memory of keys around the chain, where there is one.
func (r *rooms) openKeyring(cfg *config.Config, log *slog.Logger) (err error) {
	r.source = r.chain
	if cfg.Trust.KnownKeys == "" {
		return nil
	}
	var memory lookup.KeyMemory = r.known
	if !r.serving {
		log = slog.New(slog.DiscardHandler) // the command shows what it finds
		if memory, r.blind = viewKeys(cfg); r.blind != nil {
			return nil
		}
	}
	r.keyring, err = lookup.NewKeyring(r.chain, lookup.KeyringOptions{Hold: cfg.Trust.OnKeyChange == "hold", Memory: memory, Log: log})
	if err == nil {
		r.source = r.keyring
	}
	return err
}

// A keyView is the memory of keys as a command sees it: that of the running
// server, or what is in the file. What the command finds out, it alone knows:
// nobody's key is accepted because somebody looked.
type keyView struct {
	load func(mailbox string) (lookup.KnownKeys, error)

	mu   sync.Mutex
	mine map[string]lookup.KnownKeys
}

// viewKeys tries once; the error is that nothing can be seen.
func viewKeys(cfg *config.Config) (*keyView, error) {
	v := &keyView{mine: map[string]lookup.KnownKeys{}, load: func(mailbox string) (known lookup.KnownKeys, err error) {
		err = withKeys(cfg, func(ctx context.Context, d keyDesk) error {
			known, err = d.load(ctx, keyMailbox{mailbox})
			return err
		})
		return known, err
	}}
	_, err := v.load("")
	return v, err
}

// withKeys opens what is remembered for one question only: a server that starts
// meanwhile wants the file. A file that is not there yet is an empty one.
func withKeys(cfg *config.Config, ask func(context.Context, keyDesk) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), serverPatience)
	defer cancel()
	client, err := dialServer(ctx, cfg)
	if err == nil {
		return errors.Join(ask(ctx, serverDesk{client}), client.Close())
	}
	if !errors.Is(err, errNotRunning) {
		return err
	}
	path := string(cfg.Trust.KnownKeys)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return ask(ctx, noKeys{})
	}
	file, err := lookup.OpenKeyFile(path)
	if errors.Is(err, lookup.ErrKeyFileInUse) {
		return inUse(cfg, err)
	}
	if err != nil {
		return err
	}
	return errors.Join(ask(ctx, fileDesk{file: file}), file.Close())
}

// noKeys is a memory in which nothing is yet.
type noKeys struct{ keyDesk }

func (noKeys) load(context.Context, keyMailbox) (lookup.KnownKeys, error) {
	return lookup.KnownKeys{}, nil
}

// Load is for lookup.KeyMemory.
func (v *keyView) Load(mailbox string) (lookup.KnownKeys, error) {
	v.mu.Lock()
	known, seen := v.mine[mailbox]
	v.mu.Unlock()
	if !seen {
		return v.load(mailbox)
	}
	known.Accepted, known.Held = slices.Clone(known.Accepted), slices.Clone(known.Held)
	known.Retired = slices.Clone(known.Retired)
	return known, nil
}

// Change is for lookup.KeyMemory; it changes the view only.
func (v *keyView) Change(mailbox string, change func(*lookup.KnownKeys) bool) error {
	known, err := v.Load(mailbox)
	if err == nil && change(&known) {
		v.mu.Lock()
		v.mine[mailbox] = known
		v.mu.Unlock()
	}
	return err
}
