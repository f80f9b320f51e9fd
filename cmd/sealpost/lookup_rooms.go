package main

import (
	"crypto/x509"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"sealpost/config"
	"sealpost/lookup"
)

// openLookup puts the sources together from the inside out: each is judged,
// they are asked as the mode says, and what they say is remembered.
func (r *rooms) openLookup(cfg *config.Config, log *slog.Logger) error {
	if len(cfg.Lookup.Sources) == 0 {
		r.source = noSource{}
		return nil
	}
	r.fallback = lookup.FallbackOptions{
		Tag: cfg.Trust.TagFallback, WholeDomain: cfg.Trust.AllowDomainCertificate, Pins: cfg.Trust.PinnedCertificates(),
	}
	var err error
	if r.roots, err = readRoots(cfg.Trust.Roots); err != nil {
		return err
	}
	if err := r.openRevocation(cfg, log); err != nil {
		return err
	}
	var links []lookup.Link
	for i := range cfg.Lookup.Sources {
		s := &cfg.Lookup.Sources[i]
		source, err := openers[s.Type](r, s, log)
		if err != nil {
			return fmt.Errorf("lookup source %s: %w", s.Name, err)
		}
		judged, err := lookup.NewTrusted(source, r.trustOptions(s))
		if err != nil {
			return fmt.Errorf("lookup source %s: %w", s.Name, err)
		}
		r.trusted = append(r.trusted, judged)
		links = append(links, lookup.Link{Name: s.Name, Source: judged, Timeout: s.Timeout, Local: s.Type == "files"})
	}
	o := lookup.ChainOptions{All: cfg.Lookup.Mode == "all", Timeout: cfg.Lookup.Timeout, Log: log}
	if !r.serving {
		o.Failures = -1 // whoever runs a command wants every source asked for every address
	}
	r.chain, err = lookup.NewChain(o, links...)
	if err != nil {
		return err
	}
	if err := r.openKeyring(cfg, log); err != nil {
		return err
	}
	return r.openCache(cfg)
}

// trustOptions say how the certificates of a source are judged.
func (r *rooms) trustOptions(s *config.Source) lookup.TrustOptions {
	cfg := r.cfg
	trust := lookup.TrustOptions{
		Roots: r.roots, SystemRoots: cfg.Trust.SystemRoots,
		MinRSABits: cfg.Trust.MinRSABits, FoldLocal: cfg.Trust.FoldLocalPart, Pins: cfg.Trust.PinnedCertificates(),
		SubjectAddress: cfg.Trust.SubjectAddress, WholeDomain: cfg.Trust.AllowDomainCertificate,
	}
	if s.Trust == "source" {
		trust.Vouch = lookup.Itself
	}
	r.trustRevocation(&trust, cfg)
	return trust
}

func (r *rooms) openCache(whole *config.Config) (err error) {
	cfg := &whole.Lookup
	if cfg.Cache.Entries == 0 {
		return nil
	}
	all := time.Second // the time of every source, and a little more
	for i := range cfg.Sources {
		all += cfg.Sources[i].Timeout
	}
	if r.verdicts, err = verdictSettings(whole, r.roots); err != nil {
		return err
	}
	cache, err := lookup.NewCache(r.source, lookup.CacheOptions{
		Entries: cfg.Cache.Entries, TTL: off(cfg.Cache.TTL), NegativeTTL: off(cfg.Cache.NegativeTTL),
		Stale: off(cfg.Cache.Stale), Timeout: all, Withdrawn: r.isWithdrawn,
		File: r.cacheFile, Settings: r.verdicts,
		// A folder may have changed while nobody looked.
		Recheck: slices.ContainsFunc(cfg.Sources, func(s config.Source) bool { return s.Type == "files" }),
	})
	if err != nil {
		return err
	}
	r.cache.Store(cache)
	r.closers = append(r.closers, func() {
		if !r.handedOn {
			r.cache.Load().Close()
		}
	})
	return nil
}

// standIns puts around a source the addresses that may stand in for others.
func (r *rooms) standIns(source lookup.Source) *lookup.Fallback {
	return lookup.NewFallback(source, r.fallback)
}

// off is how the cache spells the configuration's 0.
func off(d time.Duration) time.Duration {
	if d == 0 {
		return -1
	}
	return d
}

func readRoots(files []config.Path) ([]*x509.Certificate, error) {
	var out []*x509.Certificate
	for _, f := range files {
		certs, err := config.ReadCertificates(f)
		if err != nil {
			return nil, fmt.Errorf("trust.roots: %s %w", f, err)
		}
		out = append(out, certs...)
	}
	return out, nil
}
