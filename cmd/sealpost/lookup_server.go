package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"sealpost/config"
	"sealpost/internal/address"
	"sealpost/lookup"
	"sealpost/relay/control"
)

// Names of the calls about lookups that a server takes at the control socket.
const (
	callLookupRefresh    = "lookup/refresh"
	callLookupRemembered = "lookup/remembered"
	callLookupFlush      = "lookup/flush"
)

type (
	lookupQuery struct {
		Address string `json:"address"`
	}
	flushQuery struct {
		Address string `json:"address,omitempty"`
		All     bool   `json:"all,omitempty"`
	}
	flushAnswer struct {
		Address   string `json:"address,omitempty"` // empty: everything
		Addresses int    `json:"addresses"`         // that were remembered
	}
)

// String is the line that a person reads.
func (a flushAnswer) String() string {
	switch {
	case a.Address == "":
		return fmt.Sprintf("everything is forgotten that was remembered (%s)", count(a.Addresses, "address"))
	case a.Addresses == 0:
		return a.Address + ": nothing was remembered"
	}
	return a.Address + ": forgotten"
}

// lookupCalls are what commands may ask a server about lookups.
func (s *server) lookupCalls() map[string]control.Call {
	return map[string]control.Call{
		callLookupRefresh:    lookupCall(s.refresh),
		callLookupRemembered: lookupCall(s.remembered),
		callLookupFlush:      control.NewCall(s.forgetCached),
	}
}

func lookupCall[A any](do func(context.Context, address.Address) (A, error)) control.Call {
	return control.NewCall(func(ctx context.Context, q lookupQuery) (answer A, err error) {
		a, err := address.Parse(q.Address)
		if err != nil {
			return answer, err
		}
		return do(ctx, a)
	})
}

// refresh asks the sources, whatever is remembered, and remembers the answer.
func (s *server) refresh(ctx context.Context, a address.Address) (lookupReport, error) {
	r := s.rooms.Load()
	source := r.source
	if cache := r.cache.Load(); cache != nil {
		source = refreshing{cache}
	}
	return r.report(a, r.standIns(source).Lookup(ctx, a), time.Now()), nil
}

// refreshing is a cache that believes nothing of what it remembers.
type refreshing struct{ *lookup.Cache }

// Lookup asks the sources.
func (c refreshing) Lookup(ctx context.Context, a address.Address) lookup.Answer {
	return c.Refresh(ctx, a)
}

// remembered tells what is known by heart, of the address and of those that may
// stand in for it.
func (s *server) remembered(_ context.Context, a address.Address) ([]rememberedReport, error) {
	r := s.rooms.Load()
	now := time.Now()
	var all []rememberedReport
	for _, one := range r.standIns(r.source).Addresses(a) {
		out := rememberedReport{Address: one.String()}
		if cache := r.cache.Load(); cache != nil {
			held, ok := cache.Peek(one)
			out.Cache = newCacheReport(held, ok, now, r.settings.Decider.MaxCertificates)
		}
		if s.known != nil {
			known, err := s.known.Load(one.Key())
			if m := newMailboxKeys(one.Key(), known, err); !m.nothing() {
				out.Keys = &m
			}
		}
		all = append(all, out)
	}
	return all, nil
}

// forgetCached drops what was looked up; keys stay known.
func (s *server) forgetCached(_ context.Context, q flushQuery) (flushAnswer, error) {
	s.swapping.Lock()
	defer s.swapping.Unlock()
	cache := s.rooms.Load().cache.Load()
	if cache == nil {
		return flushAnswer{Address: q.Address}, nil
	}
	if q.All {
		n := cache.Stats().Entries
		if s.cacheFile != nil {
			n = max(n, int(s.cacheFile.Stats().Entries))
		}
		return flushAnswer{Addresses: n}, cache.FlushAll()
	}
	a, err := address.Parse(q.Address)
	if err != nil {
		return flushAnswer{}, err
	}
	out := flushAnswer{Address: a.String()}
	if _, ok := cache.Peek(a); ok {
		out.Addresses = 1
	}
	cache.Flush(a)
	if s.cacheFile != nil {
		err = s.cacheFile.Sync()
	}
	return out, err
}

// flushFile is forgetCached for a server that is stopped.
func flushFile(cfg *config.Config, q flushQuery) (out flushAnswer, err error) {
	out.Address = q.Address
	path := string(cfg.Lookup.Cache.File)
	if _, err := os.Stat(path); path == "" || errors.Is(err, os.ErrNotExist) {
		return out, nil
	}
	file, err := lookup.OpenCacheFile(lookup.CacheFileOptions{Path: path, Entries: cfg.Lookup.Cache.FileEntries})
	if err != nil {
		return out, err
	}
	before := file.Stats().Entries
	if q.All {
		err = file.Clear()
	} else {
		a, bad := address.Parse(q.Address)
		if bad != nil {
			return out, errors.Join(bad, file.Close())
		}
		file.Forget(a)
		err = file.Sync()
	}
	out.Addresses = int(before - file.Stats().Entries)
	return out, errors.Join(err, file.Close())
}

// remember asks the running server what it knows by heart; absent says why it
// cannot be asked.
func (r *lookupReport) remember(ctx context.Context, client *control.Client, absent error) {
	if client == nil {
		r.Server.Error = absent.Error()
		return
	}
	ctx, cancel := context.WithTimeout(ctx, serverPatience)
	defer cancel()
	r.Server.Running = true
	var err error
	if r.Remembered, err = control.Ask[[]rememberedReport](ctx, client, callLookupRemembered, lookupQuery{r.Address}); err != nil {
		r.Server.Error = err.Error()
		r.Remembered = []rememberedReport{}
	}
}

// rememberFile looks for keys in the file of a server that is stopped.
func (r *lookupReport) rememberFile(cfg *config.Config) {
	if cfg.Trust.KnownKeys == "" {
		return
	}
	a, err := address.Parse(r.Address)
	if err != nil {
		return
	}
	err = withKeys(cfg, func(ctx context.Context, d keyDesk) error {
		known, err := d.load(ctx, keyMailbox{a.Key()})
		if m := newMailboxKeys(a.Key(), known, err); !m.nothing() {
			r.Remembered = append(r.Remembered, rememberedReport{Address: r.Address, Keys: &m})
		}
		return nil
	})
	if err != nil {
		r.Server.Error = err.Error()
	}
}
