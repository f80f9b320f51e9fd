package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"reflect"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sealpost/config"
	"sealpost/directory"
	"sealpost/directory/api"
	"sealpost/directory/harvest"
	"sealpost/directory/portal"
	"sealpost/lookup"
)

// A directoryDoor is the directory of a running server and the listener through
// which it is asked.
type directoryDoor struct {
	*directory.Directory
	listener net.Listener
	server   *http.Server
	certs    *certificates // nil without TLS from files
	done     chan struct{}
}

// openDirectory opens the database and binds the listener; nil where the
// configuration has no directory.
func openDirectory(cfg *config.Config, log *slog.Logger, metrics prometheus.Registerer) (*directoryDoor, error) {
	c := cfg.Directory
	if c == nil {
		return nil, nil
	}
	opts, err := directoryOptions(cfg, log, metrics)
	if err != nil {
		return nil, err
	}
	d := &directoryDoor{done: make(chan struct{})}
	if d.listener, err = net.Listen("tcp", c.Address); err != nil {
		return nil, fmt.Errorf("directory.address: %w", err)
	}
	if d.Directory, err = directory.Open(context.Background(), opts); err != nil {
		return nil, errors.Join(err, d.listener.Close())
	}
	if err := d.secure(c); err != nil {
		return nil, errors.Join(err, d.listener.Close(), d.Directory.Close())
	}
	d.server = &http.Server{
		Handler: d.Handler(), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, WriteTimeout: time.Minute,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	return d, nil
}

func directoryOptions(cfg *config.Config, log *slog.Logger, metrics prometheus.Registerer) (directory.Options, error) {
	c := cfg.Directory
	opts := directory.Options{
		Index: string(c.Index), Log: log,
		API: api.Options{
			RequireToken: c.RequireToken, TrustedProxies: c.TrustedProxies, Metrics: metrics,
			Limits: api.Limits{PerSecond: c.Rate.PerSecond, Burst: c.Rate.Burst, Message: int64(c.Harvest.Size)},
		},
	}
	var err error
	if opts.Store, err = storeOptions(c, log); err != nil {
		return opts, err
	}
	opts.Page = &portal.Options{Name: c.Page.Name, URL: c.URL}
	if c.Page.Logo != "" {
		if opts.Page.Logo, err = os.ReadFile(string(c.Page.Logo)); err != nil {
			return opts, fmt.Errorf("directory.page.logo: %w", err)
		}
	}
	h, err := newHarvester(cfg)
	if h != nil {
		opts.Harvester = h
	}
	return opts, err
}

// newHarvester reads signed mail; nil where nobody vouches for signers.
func newHarvester(cfg *config.Config) (*harvest.Harvester, error) {
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
	}
	return harvest.New(harvest.Options{Trust: trust, MaxAge: c.MaxAge, MaxSize: int64(c.Size)})
}

// secure puts TLS around the listener.
func (d *directoryDoor) secure(c *config.Directory) error {
	if c.TLS.Mode != "files" {
		return nil
	}
	d.certs = &certificates{}
	if err := d.prepare(c); err != nil {
		return err
	}
	d.commit()
	d.listener = tls.NewListener(d.listener, &tls.Config{
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return d.certs.current.Load(), nil },
		MinVersion:         tls.VersionTLS12,
	})
	return nil
}

// prepare reads the TLS certificate of a configuration; commit uses it.
func (d *directoryDoor) prepare(c *config.Directory) error {
	if d == nil || d.certs == nil {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(string(c.TLS.Cert), string(c.TLS.Key))
	if err != nil {
		return fmt.Errorf("directory.tls: %w", err)
	}
	d.certs.next = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}
	return nil
}

func (d *directoryDoor) commit() {
	if d != nil && d.certs != nil {
		d.certs.current.Store(d.certs.next)
	}
}

// serve answers until stop; what else ends it goes to failed.
func (d *directoryDoor) serve(failed chan<- error) {
	if d == nil {
		return
	}
	go func() {
		defer close(d.done)
		if err := d.server.Serve(d.listener); !errors.Is(err, http.ErrServerClosed) {
			select {
			case failed <- fmt.Errorf("directory %s: %w", d.listener.Addr(), err):
			default:
			}
		}
	}()
}

// lastCalls is how long calls under way may take when the server stops. Who
// follows the feed waits for news much longer, and comes again.
const lastCalls = 2 * time.Second

// stop ends the listener and closes the database.
func (d *directoryDoor) stop(ctx context.Context) error {
	if d == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, lastCalls)
	defer cancel()
	if err := d.server.Shutdown(ctx); err != nil {
		d.server.Close()
	}
	<-d.done
	return d.Directory.Close()
}

// sameDirectory reports that what only a restart can change has not changed.
func sameDirectory(a, b *config.Directory) bool {
	if a == nil || b == nil {
		return a == b
	}
	x, y := *a, *b
	x.TLS.Cert, x.TLS.Key, y.TLS.Cert, y.TLS.Key = "", "", "", ""
	return reflect.DeepEqual(x, y)
}
