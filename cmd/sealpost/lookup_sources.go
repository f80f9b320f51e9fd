package main

import (
	"log/slog"
	"sealpost/config"
	"sealpost/internal/address"
	"sealpost/lookup"
)

// openers make the source of each type.
var openers = map[string]func(*rooms, *config.Source, *slog.Logger) (lookup.Source, error){
	"directory": (*rooms).openDirectorySource,
	"files":     (*rooms).openFiles,
	"http":      (*rooms).openHTTP,
	"smimea":    (*rooms).openSMIMEA,
	"ldap":      (*rooms).openLDAP,
	"rfc4387":   (*rooms).openRFC4387,
}

func (r *rooms) openFiles(s *config.Source, log *slog.Logger) (lookup.Source, error) {
	files, err := lookup.NewFiles(lookup.FilesOptions{Dir: string(s.Dir), Changed: r.forget, Log: log})
	if err != nil {
		return nil, err
	}
	r.files = append(r.files, files)
	r.closers = append(r.closers, files.Close)
	return files, nil
}

func (r *rooms) openHTTP(s *config.Source, _ *slog.Logger) (lookup.Source, error) {
	roots, err := config.ReadRoots(s.TLSRoots)
	if err != nil {
		return nil, err
	}
	source, err := lookup.NewHTTP(lookup.HTTPOptions{
		URL: s.URL, TokenFile: string(s.TokenFile), RootCAs: roots, Timeout: s.Timeout,
		AllowHTTP: true, // the configuration has checked where cleartext is allowed
	})
	if err != nil {
		return nil, err
	}
	r.closers = append(r.closers, source.Close)
	return source, nil
}

// forget drops what is remembered of an address whose file has changed.
func (r *rooms) forget(a address.Address) {
	if cache := r.cache.Load(); cache != nil {
		cache.Flush(a)
	}
}
