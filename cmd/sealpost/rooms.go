package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"sealpost/config"
	"sealpost/directory"
	"sealpost/internal/address"
	"sealpost/lookup"
	"sealpost/lookup/revocation"
	"sealpost/relay"
	"sealpost/relay/policy"
	"sealpost/relay/upstream"
	"sealpost/smime/cms"
)

// rooms are what a configuration opens beside the listeners. A reload opens
// new ones and retires the old.
type rooms struct {
	serving   bool                 // not for one command only
	probing   bool                 // directories are asked themselves, whatever their mirrors know
	cacheFile *lookup.CacheFile    // the server's; nil: there is none
	known     *lookup.KeyFile      // the server's; nil: there is none
	directory *directory.Directory // the server's; nil: there is none
	mirrors   *mirrors             // the server's; nil for a command
	mirrored  []mirroredSource
	feeds     []probedFeed // of directories with mirrors, while probing
	blind     error        // why a command cannot see what keys are known
	cfg       *config.Config
	keyring   *lookup.Keyring
	settings  *relay.Settings
	source    lookup.Source          // the chain without the cache in front
	fallback  lookup.FallbackOptions // around it
	chain     *lookup.Chain
	cache     atomic.Pointer[lookup.Cache] // nil: nothing is remembered
	handedOn  bool                         // the cache now belongs to the rooms that replaced these
	verdicts  []byte                       // everything that a verdict on a certificate depends on
	trusted   []*lookup.Trusted
	files     []*lookup.Files
	roots     []*x509.Certificate
	revoker   *revocation.Checker // nil with revocation: off
	aia       *lookup.AIA         // nil without trust.aia
	upstream  *upstream.Client
	closers   []func()
}

// openRooms opens them for a command.
func openRooms(cfg *config.Config, log *slog.Logger) (*rooms, error) {
	return (&rooms{}).opened(cfg, log)
}

func (r *rooms) opened(cfg *config.Config, log *slog.Logger) (*rooms, error) {
	if err := r.open(cfg, log); err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

func (r *rooms) open(cfg *config.Config, log *slog.Logger) error {
	r.cfg = cfg
	if err := r.openLookup(cfg, log); err != nil {
		return err
	}
	if err := r.openUpstream(cfg, log); err != nil {
		return err
	}
	decider, err := newDecider(cfg)
	if err != nil {
		return err
	}
	decider.Directory = r.standIns(r.source)
	if cache := r.cache.Load(); cache != nil {
		decider.Directory = r.standIns(cache)
	}
	r.settings = &relay.Settings{
		Decider: decider, Upstream: r.upstream, Drop: cfg.SMIME.Drop, Networks: map[string][]netip.Prefix{},
		Gather: gathering(cfg),
	}
	for _, l := range cfg.Listen {
		r.settings.Networks[l.Address] = l.Networks
	}
	return r.openKeyMaker(cfg, log)
}

func newDecider(cfg *config.Config) (*relay.Decider, error) {
	d := &relay.Decider{Policy: policy.New(cfg.Rules()), MaxCertificates: cfg.SMIME.MaxCertificates}
	d.Keys.OAEP = cfg.SMIME.RSA == "oaep"
	var err error
	if d.Keys.KDF, err = cms.ParseKDF(cfg.SMIME.KDF); err != nil {
		return nil, err
	}
	if cfg.SMIME.Content == "auto" {
		d.Content.Auto = true
		return d, nil
	}
	d.Content.Fixed, err = cms.ParseCipher(cfg.SMIME.Content)
	return d, err
}

var upstreamTLS = map[string]upstream.TLSMode{
	"none": upstream.TLSNone, "opportunistic": upstream.TLSOpportunistic,
	"require": upstream.TLSRequire, "implicit": upstream.TLSImplicit,
}

func (r *rooms) openUpstream(cfg *config.Config, log *slog.Logger) error {
	if len(cfg.Upstream) == 0 {
		return nil // a directory alone: nothing is ever sent
	}
	l := &cfg.Limits.Upstream
	o := upstream.Options{
		Hostname: cfg.Hostname, Log: log,
		MaxConnections: l.Connections, MaxMessages: l.MessagesPerConnection, IdleTimeout: l.IdleTimeout,
		Timeouts: upstream.Timeouts{
			Dial: l.ConnectTimeout, Command: l.CommandTimeout, End: l.EndTimeout,
			// DATA is a command too; RFC 5321 section 4.5.3.2.4 gives it less than others.
			Data: min(l.CommandTimeout, 2*time.Minute),
		},
	}
	for i := range cfg.Upstream {
		u := &cfg.Upstream[i]
		roots, err := config.ReadRoots(u.TLSRoots)
		if err != nil {
			return fmt.Errorf("upstream %s: %w", u.Address, err)
		}
		s := upstream.Server{
			Address: u.Address, TLS: upstreamTLS[u.TLS], NoVerify: !u.Verify && (u.TLS == "require" || u.TLS == "implicit"),
			TLSConfig:  &tls.Config{RootCAs: roots, ServerName: u.ServerName, MinVersion: tls.VersionTLS12},
			NoChunking: !u.Chunking,
		}
		if u.Auth != nil {
			file := u.Auth.PasswordFile
			s.Auth = &upstream.Auth{User: u.Auth.User, Password: func() (string, error) { return config.ReadSecret(file) }}
		}
		o.Servers = append(o.Servers, s)
	}
	client, err := upstream.New(o)
	if err != nil {
		return err
	}
	r.upstream = client
	r.closers = append(r.closers, client.Close)
	return nil
}

func (r *rooms) close() {
	for i := len(r.closers) - 1; i >= 0; i-- {
		r.closers[i]()
	}
	r.closers = nil
}

// problems are what is wrong with single certificate files.
func (r *rooms) problems() []string {
	var out []string
	for _, f := range r.files {
		for _, p := range f.Problems() {
			out = append(out, fmt.Sprintf("%s: %v", p.Path, p.Err))
		}
	}
	return out
}

// probe connects to upstream and asks each source for an address that nobody
// has; both must answer.
func (r *rooms) probe(ctx context.Context, w io.Writer) error {
	ok := r.probeUpstream(ctx, w)
	nobody, err := address.Parse("sealpost-probe@example.invalid")
	if err != nil {
		return err
	}
	for _, asked := range r.source.Lookup(ctx, nobody).Asked {
		if asked.Outcome == lookup.Unavailable {
			ok = false
			fmt.Fprintf(w, "source %s: FAILED: %v\n", asked.Source, asked.Err)
			continue
		}
		fmt.Fprintf(w, "source %s: ok (%s, %d ms)\n", asked.Source, asked.Outcome, asked.Took.Milliseconds())
	}
	ok = r.probeFeeds(ctx, w) && ok
	if !ok {
		return errProbe
	}
	return nil
}

func (r *rooms) probeUpstream(ctx context.Context, w io.Writer) bool {
	if r.upstream == nil {
		return true
	}
	ok := true
	for _, p := range r.upstream.Probe(ctx) {
		if p.Err != nil {
			ok = false
			fmt.Fprintf(w, "upstream %s: FAILED: %v\n", p.Server, p.Err)
			continue
		}
		fmt.Fprintf(w, "upstream %s: ok (%s)\n", p.Server, describeProbe(p))
	}
	return ok
}

// describeProbe says what an upstream server offers.
func describeProbe(p upstream.Probed) string {
	secure := "no TLS"
	switch {
	case p.Verified:
		secure = p.TLS + ", verified"
	case p.TLS != "":
		secure = p.TLS + ", not verified"
	}
	return fmt.Sprintf("%s, %s, %d ms", secure, strings.Join(p.Extensions, " "), p.Took.Milliseconds())
}

// noSource stands where no rule encrypts and no source is configured. It knows
// nothing, which is not the same as none.
type noSource struct{}

// Lookup is always Unavailable.
func (noSource) Lookup(context.Context, address.Address) lookup.Answer { return lookup.Answer{} }
