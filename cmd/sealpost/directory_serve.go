package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"reflect"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sealpost/config"
	"sealpost/directory"
	"sealpost/directory/api"
)

// A directoryDoor is the directory of a running server and the listener through
// which it is asked.
type directoryDoor struct {
	*directory.Directory
	listener net.Listener
	server   *api.Server
	enrol    *enrolDoor // nil without a mailbox
	ca       *caDoor    // nil without directory.ca.address
	closers  []func()   // of what the Directory uses
	done     chan struct{}
}

// openDirectory opens the database and binds the listener; nil where the
// configuration has no directory. changed is told of addresses whose certificates
// are others now.
func openDirectory(cfg *config.Config, log *slog.Logger, metrics prometheus.Registerer, changed func([]string)) (*directoryDoor, error) {
	if cfg.Directory == nil {
		return nil, nil
	}
	d := &directoryDoor{done: make(chan struct{})}
	if err := d.open(cfg, log, metrics, changed); err != nil {
		if d.listener != nil {
			err = errors.Join(err, d.listener.Close())
		}
		err = errors.Join(err, d.ca.stop(context.Background()))
		if d.Directory != nil {
			err = errors.Join(err, d.Directory.Close())
		}
		d.release()
		return nil, err
	}
	return d, nil
}

func (d *directoryDoor) open(cfg *config.Config, log *slog.Logger, metrics prometheus.Registerer, changed func([]string)) error {
	opts, err := directoryOptions(cfg, log, metrics)
	if err != nil {
		return err
	}
	opts.Changed = changed
	if opts.Harvester, err = d.openHarvester(cfg, log); err != nil {
		return err
	}
	keeper, err := openKeeper(cfg.Directory.Escrow, log)
	if err != nil {
		return err
	}
	if opts.Provision, err = d.provisionOptions(cfg, keeper, opts.Authority); err != nil {
		return err
	}
	if opts.Claim, err = claimOptions(cfg, keeper, opts.Authority); err != nil {
		return err
	}
	if d.listener, err = net.Listen("tcp", cfg.Directory.Address); err != nil {
		return fmt.Errorf("directory.address: %w", err)
	}
	if d.Directory, err = directory.Open(context.Background(), opts); err != nil {
		return err
	}
	if d.server, err = api.NewServer(serverOptions(&cfg.Directory.TLS, d.Handler(), log)); err != nil {
		return fmt.Errorf("directory.tls: %w", err)
	}
	if d.ca, err = openCADoor(cfg.Directory.CA, d.PublishCA(), log); err != nil {
		return err
	}
	if err := errors.Join(countAuthority(opts.Authority, metrics), countClaims(d.Directory, metrics)); err != nil {
		return err
	}
	if d.enrol, err = openEnrol(cfg, d.Directory, log); err != nil || d.enrol == nil {
		return err
	}
	return metrics.Register(enrolled{d.enrol.server})
}

func serverOptions(c *config.DirectoryTLS, handler http.Handler, log *slog.Logger) api.ServerOptions {
	o := api.ServerOptions{Handler: handler, Log: log}
	switch c.Mode {
	case "files":
		o.CertFile, o.KeyFile = string(c.Cert), string(c.Key)
	case "acme":
		o.ACME = &api.ACMEOptions{Domains: c.Domains, Cache: string(c.Cache), Email: c.Email, URL: c.ACMEURL}
	}
	return o
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
	if opts.Authority, err = openAuthority(cfg, log); err != nil {
		return opts, err
	}
	opts.Page, err = pageOptions(c)
	return opts, err
}

// reload reads the TLS certificate again.
func (d *directoryDoor) reload() error {
	if d == nil {
		return nil
	}
	return d.server.Reload()
}

// serve answers until stop; what else ends it goes to failed.
func (d *directoryDoor) serve(failed chan<- error) {
	if d == nil {
		return
	}
	d.enrol.serve(failed)
	d.ca.serve(failed)
	go func() {
		defer close(d.done)
		if err := d.server.Serve(d.listener); err != nil {
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
	err := errors.Join(d.enrol.stop(ctx), d.ca.stop(ctx))
	defer d.release()
	if e := d.server.Shutdown(ctx); e != nil && !errors.Is(e, context.DeadlineExceeded) {
		return errors.Join(err, e, d.Directory.Close())
	}
	<-d.done
	return errors.Join(err, d.Directory.Close())
}

// release closes what the Directory used.
func (d *directoryDoor) release() {
	for i := len(d.closers) - 1; i >= 0; i-- {
		d.closers[i]()
	}
	d.closers = nil
}

// sameDirectory reports that nothing has changed. What is in the files of TLS
// may have.
func sameDirectory(a, b *config.Directory) bool {
	if a == nil || b == nil {
		return a == b
	}
	return reflect.DeepEqual(a, b)
}
