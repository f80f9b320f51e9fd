package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"sealpost/config"
	"sealpost/lookup"
	"sealpost/relay"
	"sealpost/relay/control"
	"sealpost/relay/gather"
	"sealpost/relay/intake"
	"sealpost/relay/spill"
)

// A server is the running relay: listeners, the relay behind them, and the
// endpoint for monitoring.
type server struct {
	file       string
	config     *config.Config
	log        *slog.Logger
	metrics    *metrics
	spill      *spill.Pool
	relay      *relay.Relay
	rooms      atomic.Pointer[rooms]
	cacheFile  *lookup.CacheFile // nil: what is looked up is in memory only
	directory  *directoryDoor    // nil without one
	known      *lookup.KeyFile   // nil without trust.known_keys
	keyWords   keyWords
	mirrors    *mirrors         // of directories
	waiting    *waitingRoom     // nil without a spool
	control    *control.Server  // nil without one in the configuration
	swapping   sync.Mutex       // held while rooms take over what others remember
	gatherer   *gather.Gatherer // nil where nothing is learned from passing mail
	retired    retirees
	doors      []*door
	monitor    *monitor
	failed     chan error // a listener that broke
	stopping   atomic.Bool
	background sync.WaitGroup
}

// A door is one listener with what a reload exchanges.
type door struct {
	listener net.Listener
	intake   *intake.Server
	certs    *certificates
	users    *users
	done     chan struct{}
}

// startServer reads the configuration and serves. Nothing is left running when
// it fails.
func startServer(file string, out io.Writer) (*server, error) {
	cfg, err := loadConfig(file, out)
	if err != nil {
		return nil, err
	}
	s := &server{file: file, config: cfg, log: newLogger(cfg.Log, out), failed: make(chan error, 1)}
	s.spill = spill.New(spill.Options{
		Memory: int64(cfg.Limits.MessageMemory), Budget: int64(cfg.Limits.TotalMemory), Dir: string(cfg.Limits.TempDir),
	})
	s.metrics = newMetrics(s)
	if err := s.start(); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	v, _ := buildVersion()
	s.log.Info("started", "version", v, "config", file, "effective", string(cfg.Effective()))
	return s, nil
}

func (s *server) start() (err error) {
	if s.directory, err = openDirectory(s.config, s.log, s.metrics.registry, s.forget); err != nil {
		return err
	}
	s.directory.serve(s.failed)
	if len(s.config.Listen) > 0 {
		if err := s.startRelay(); err != nil {
			return err
		}
	}
	s.monitor, err = startMonitor(s)
	return err
}

// startRelay starts what takes mail in and passes it on.
func (s *server) startRelay() (err error) {
	if s.known, err = openKnownKeys(s.config); err != nil {
		return err
	}
	if err = s.openCacheFile(); err != nil {
		return err
	}
	s.mirrors = newMirrors(s.forget)
	r, err := s.newRooms().opened(s.config, s.log)
	if err != nil {
		return err
	}
	s.rooms.Store(r)
	r.follow()
	s.metrics.rules(s.config)
	if s.waiting, err = openWaitingRoom(s.config, s.metrics, s.log); err != nil {
		return err
	}
	if s.gatherer, err = openGatherer(s.config, s.directory, s.log); err != nil {
		return err
	}
	r.settings.Waiting = s.waiting.waiting(s.config)
	s.relay = relay.New(relay.Options{
		Hostname: s.config.Hostname, Settings: r.settings, Spill: s.spill, Metrics: s.metrics.relay, Log: s.log, Gatherer: s.gatherer,
	})
	s.waiting.start(s.relay)
	if s.control, err = s.startControl(); err != nil {
		return err
	}
	for i := range s.config.Listen {
		if err := s.openDoor(&s.config.Listen[i]); err != nil {
			return err
		}
	}
	s.meetUpstream(r)
	return nil
}

// newRooms are rooms of this server, before they are opened.
func (s *server) newRooms() *rooms {
	r := &rooms{serving: true, known: s.known, cacheFile: s.cacheFile, mirrors: s.mirrors}
	if s.directory != nil {
		r.directory = s.directory.Directory
	}
	return r
}

// meetUpstream asks upstream in the background what it offers, so that the
// first client is offered the same.
func (s *server) meetUpstream(r *rooms) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	s.background.Go(func() {
		defer cancel()
		for _, p := range r.upstream.Probe(ctx) {
			if p.Err != nil {
				s.log.Warn("upstream cannot be reached at start", "upstream", p.Server, "error", p.Err)
			}
		}
	})
}

// openDoor binds a listener and serves it.
func (s *server) openDoor(l *config.Listen) error {
	d := &door{done: make(chan struct{})}
	opts, err := s.intakeOptions(l, d)
	if err != nil {
		return err
	}
	if d.intake, err = intake.NewServer(opts); err != nil {
		return err
	}
	if d.listener, err = net.Listen("tcp", l.Address); err != nil {
		return fmt.Errorf("listen on %s: %w", l.Address, err)
	}
	s.doors = append(s.doors, d)
	go func() {
		defer close(d.done)
		if err := d.intake.Serve(d.listener); err != nil && !errors.Is(err, intake.ErrServerClosed) {
			select {
			case s.failed <- fmt.Errorf("listener %s: %w", l.Address, err):
			default:
			}
		}
	}()
	return nil
}

// addr is the address of listener i as it was bound.
func (s *server) addr(i int) net.Addr { return s.doors[i].listener.Addr() }

// reload reads the configuration again. A file with mistakes changes nothing.
func (s *server) reload() {
	err := s.exchange()
	s.metrics.reloaded(err == nil)
	if err != nil {
		s.log.Error("configuration not reloaded, the old one stays", "config", s.file, "error", err)
		return
	}
	s.log.Info("configuration reloaded", "config", s.file, "effective", string(s.config.Effective()))
}

func (s *server) exchange() error {
	cfg, _, err := config.Load(s.file)
	if err != nil {
		return err
	}
	if err := fixed(s.config, cfg); err != nil {
		return err
	}
	for i, d := range s.doors {
		if err := d.prepare(&cfg.Listen[i]); err != nil {
			return err
		}
	}
	if len(s.doors) == 0 {
		s.config = cfg
		return s.directory.reload()
	}
	next, err := s.newRooms().opened(cfg, s.log)
	if err != nil {
		return err
	}
	if err := s.directory.reload(); err != nil {
		next.close()
		return err
	}
	for _, d := range s.doors {
		d.commit()
	}
	s.metrics.rules(cfg)
	s.swapping.Lock()
	defer s.swapping.Unlock()
	next.inherit(s.rooms.Load(), &s.config.Lookup, &cfg.Lookup)
	s.config = cfg
	next.settings.Waiting = s.waiting.waiting(cfg)
	s.waiting.adjust(cfg)
	s.relay.Reload(next.settings)
	s.retired.add(s.rooms.Swap(next))
	next.follow()
	return nil
}

// fixed refuses changes that only a restart can make.
func fixed(old, next *config.Config) error {
	if len(old.Listen) != len(next.Listen) {
		return errors.New("the number of listeners has changed: restart to apply it")
	}
	for i := range old.Listen {
		a, b := old.Listen[i], next.Listen[i]
		// What is behind these files and lists is exchanged.
		a.Networks, b.Networks = nil, nil
		a.TLS.Cert, a.TLS.Key, b.TLS.Cert, b.TLS.Key = "", "", "", ""
		if a.Auth != nil && b.Auth != nil {
			a.Auth, b.Auth = nil, nil
		}
		if !reflect.DeepEqual(a, b) {
			return fmt.Errorf("listener %s has changed: restart to apply it", old.Listen[i].Address)
		}
	}
	if a, b := old.Lookup.Cache, next.Lookup.Cache; a.File != b.File || a.FileEntries != b.FileEntries {
		return errors.New("the file of the lookup cache or its size has changed: restart to apply it")
	}
	if name := movedMirror(&old.Lookup, &next.Lookup); name != "" {
		return fmt.Errorf("the mirror of source %s is of another url: name another file", name)
	}
	if !sameSpool(old.Spool, next.Spool) {
		return errors.New("the spool's folder, key, size or deliveries have changed: restart to apply it")
	}
	if old.Control != next.Control {
		return errors.New("control has changed: restart to apply it")
	}
	if old.Trust.KnownKeys != next.Trust.KnownKeys {
		return errors.New("trust.known_keys has changed: restart to apply it")
	}
	if !sameDirectory(old.Directory, next.Directory) {
		return errors.New("the section directory has changed in more than its TLS files: restart to apply it")
	}
	if !reflect.DeepEqual(old.Harvest, next.Harvest) {
		return errors.New("the section harvest has changed: restart to apply it")
	}
	if old.Hostname != next.Hostname || old.Limits != next.Limits || old.Metrics != next.Metrics || old.Log != next.Log {
		return errors.New("hostname, limits, metrics or log have changed: restart to apply it")
	}
	return nil
}

// stop says 421 to idle clients, lets transactions under way finish, and ends
// everything.
func (s *server) stop() error {
	if s.stopping.Swap(true) {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.config.Limits.ShutdownTimeout+time.Second)
	defer cancel()
	errs := make(chan error, len(s.doors))
	for _, d := range s.doors {
		go func() { errs <- d.intake.Shutdown(ctx) }()
	}
	var err error
	for _, d := range s.doors {
		if e := <-errs; e != nil {
			err = errors.Join(err, fmt.Errorf("not every transaction ended within limits.shutdown_timeout: %w", e))
		}
		<-d.done
	}
	err = errors.Join(err, s.stopControl(ctx), s.waiting.stop(ctx))
	s.gatherer.Close(ctx)
	err = errors.Join(err, s.directory.stop(ctx))
	if s.monitor != nil {
		err = errors.Join(err, s.monitor.stop())
	}
	if r := s.rooms.Load(); r != nil {
		r.close() // ends the probe too
	}
	s.retired.close()
	if s.cacheFile != nil {
		err = errors.Join(err, s.cacheFile.Close())
	}
	s.background.Wait()
	if s.known != nil {
		err = errors.Join(err, s.known.Close())
	}
	s.log.Info("stopped")
	return err
}

func newLogger(l config.Log, out io.Writer) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(l.Level)); err != nil {
		level = slog.LevelInfo
	}
	opts := &slog.HandlerOptions{Level: level}
	if l.Format == "text" {
		return slog.New(slog.NewTextHandler(out, opts))
	}
	return slog.New(slog.NewJSONHandler(out, opts))
}
