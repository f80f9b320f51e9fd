package main

import (
	"crypto/tls"
	"log/slog"
	"sealpost/config"
	"sealpost/lookup"
	"sealpost/lookup/smimea"
)

func (r *rooms) openSMIMEA(s *config.Source, _ *slog.Logger) (lookup.Source, error) {
	roots, err := config.ReadRoots(s.TLSRoots)
	if err != nil {
		return nil, err
	}
	resolvers := s.Resolvers()
	for i := range resolvers {
		if resolvers[i].Transport == smimea.TLS {
			resolvers[i].TLS = &tls.Config{RootCAs: roots, ServerName: s.ServerName, MinVersion: tls.VersionTLS12}
		}
	}
	source, err := lookup.NewSMIMEA(lookup.SMIMEAOptions{
		Resolvers: resolvers, Timeout: s.Timeout, UnsignedUnavailable: s.Unsigned == "unavailable",
	})
	if err != nil {
		return nil, err
	}
	r.closers = append(r.closers, source.Close)
	return source, nil
}
