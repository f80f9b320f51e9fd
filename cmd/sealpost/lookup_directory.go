package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"sync"

	"sealpost/config"
	"sealpost/directory/api"
	"sealpost/directory/store"
	"sealpost/internal/address"
	"sealpost/lookup"
	"sealpost/lookup/keydb"
	"sealpost/lookup/mirror"
)

// A mirroredSource is a source of these rooms and the mirror of its directory.
type mirroredSource struct {
	name   string
	shared *sharedMirror
	feed   mirror.Feed
}

func (r *rooms) openDirectorySource(s *config.Source, log *slog.Logger) (lookup.Source, error) {
	if s.URL == "" {
		return r.openOwnDirectory(log)
	}
	client, err := directoryClient(s)
	if err != nil {
		return nil, err
	}
	opts := lookup.DirectoryOptions{Options: client}
	if s.Stale != nil {
		opts.Stale = *s.Stale
	}
	var shared *sharedMirror
	switch {
	case s.Mirror == "":
	case r.probing:
	case r.mirrors != nil:
		if shared, err = r.mirrors.take(string(s.Mirror), log); err != nil {
			return nil, err
		}
		r.closers = append(r.closers, func() { r.mirrors.release(shared) })
		opts.Mirror = shared.Mirror
	default:
		if opts.Mirror, err = mirror.Open(mirror.Options{File: string(s.Mirror), ReadOnly: true, Log: log}); err == nil {
			r.closers = append(r.closers, func() { opts.Mirror.Close() })
		} else if !errors.Is(err, fs.ErrNotExist) {
			log.Warn("the mirror cannot be read, the directory itself is asked", "source", s.Name, "error", err)
		}
	}
	source, err := lookup.NewDirectory(opts)
	if err != nil {
		return nil, err
	}
	r.closers = append(r.closers, source.Close)
	if s.Mirror != "" && r.probing {
		r.feeds = append(r.feeds, probedFeed{s.Name, source.Client()})
	}
	if shared != nil {
		r.mirrored = append(r.mirrored, mirroredSource{s.Name, shared, source.Client()})
	}
	return source, nil
}

// A probedFeed is what a mirror would follow.
type probedFeed struct {
	source string
	client *keydb.Client
}

// probeFeeds asks for changes as a mirror does: a token may be good for lookups
// and not for those.
func (r *rooms) probeFeeds(ctx context.Context, w io.Writer) bool {
	ok := true
	for _, f := range r.feeds {
		page, err := f.client.Changes(ctx, "", 1, 0)
		if err != nil {
			ok = false
			fmt.Fprintf(w, "source %s: FAILED to follow changes: %v\n", f.source, err)
			continue
		}
		fmt.Fprintf(w, "source %s: changes can be followed (%d)\n", f.source, page.Sequence)
	}
	return ok
}

// directoryClient says how the directory of a source is asked.
func directoryClient(s *config.Source) (keydb.Options, error) {
	roots, err := config.ReadRoots(s.TLSRoots)
	return keydb.Options{
		URL: s.URL, TokenFile: string(s.TokenFile), RootCAs: roots, Timeout: s.Timeout,
		AllowHTTP: true, // the configuration has checked where cleartext is allowed
	}, err
}

// openOwnDirectory is the directory of the same configuration: a server asks the
// one that it has, a command reads the database.
func (r *rooms) openOwnDirectory(log *slog.Logger) (lookup.Source, error) {
	if r.directory != nil {
		return lookup.NewDirectory(lookup.DirectoryOptions{Find: r.directory.Find})
	}
	own := &ownDirectory{section: r.cfg.Directory, log: log}
	r.closers = append(r.closers, own.close)
	return lookup.NewDirectory(lookup.DirectoryOptions{Find: own.find})
}

// An ownDirectory is a database that is opened when it is asked for the first
// time.
type ownDirectory struct {
	section *config.Directory
	log     *slog.Logger

	mu    sync.Mutex
	store *store.Store
}

func (o *ownDirectory) find(ctx context.Context, a address.Address) ([]keydb.Certificate, error) {
	s, err := o.open(ctx)
	if err != nil {
		return nil, fmt.Errorf("the directory's database: %w", err)
	}
	return api.NewFinder(nil, s, nil).Find(ctx, a)
}

func (o *ownDirectory) open(ctx context.Context) (*store.Store, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.store != nil {
		return o.store, nil
	}
	if file := o.section.Store.File; file != "" {
		if _, err := os.Stat(string(file)); err != nil {
			return nil, err // a question does not make a database
		}
	}
	opts, err := storeOptions(o.section, o.log)
	if err != nil {
		return nil, err
	}
	o.store, err = store.Open(ctx, opts)
	return o.store, err
}

func (o *ownDirectory) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.store != nil {
		o.store.Close()
	}
}

// follow has the mirrors of these rooms kept up to date as these rooms' sources
// say. It is called when the rooms are in use.
func (r *rooms) follow() {
	for _, m := range r.mirrored {
		m.shared.follow(m.feed)
	}
}

// forget drops what is remembered of addresses whose certificates have changed
// in a mirror; nil: of all.
func (s *server) forget(addresses []string) {
	r := s.rooms.Load()
	if r == nil {
		return
	}
	cache := r.cache.Load()
	if cache == nil {
		return
	}
	for _, text := range addresses {
		a, err := address.Parse(text)
		if err != nil {
			addresses = nil
			break
		}
		cache.Flush(a)
	}
	if addresses != nil {
		return
	}
	if err := cache.FlushAll(); err != nil {
		s.log.Error("the cache file could not be emptied", "error", err)
	}
}

// movedMirror names a source whose mirror was filled from another URL.
func movedMirror(old, next *config.Lookup) string {
	urls := map[config.Path]string{}
	for i := range old.Sources {
		urls[old.Sources[i].Mirror] = old.Sources[i].URL
	}
	for i := range next.Sources {
		s := &next.Sources[i]
		if url, there := urls[s.Mirror]; s.Mirror != "" && there && url != s.URL {
			return s.Name
		}
	}
	return ""
}
