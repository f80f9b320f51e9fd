package main

import (
	"crypto/tls"
	"fmt"
	"log/slog"

	"sealpost/config"
	"sealpost/lookup"
	"sealpost/lookup/ldap"
)

func (r *rooms) openLDAP(s *config.Source, _ *slog.Logger) (lookup.Source, error) {
	roots, err := config.ReadRoots(s.TLSRoots)
	if err != nil {
		return nil, err
	}
	secure := &tls.Config{RootCAs: roots, ServerName: s.ServerName, MinVersion: tls.VersionTLS12}
	if s.TLSCert != "" {
		pair, err := tls.LoadX509KeyPair(string(s.TLSCert), string(s.TLSKey))
		if err != nil {
			return nil, fmt.Errorf("tls_cert: %w", err)
		}
		secure.Certificates = []tls.Certificate{pair}
	}
	source, err := lookup.NewLDAP(lookup.LDAPOptions{Options: ldap.Options{
		URLs: s.LDAPServers(), StartTLS: s.WantsStartTLS(), TLS: secure,
		Bind:   map[string]ldap.BindMode{"simple": ldap.Simple, "external": ldap.External}[s.Bind],
		BindDN: s.BindDN, Password: func() (string, error) { return config.ReadSecret(s.PasswordFile) },
		Base: s.Base, Scope: map[string]ldap.Scope{"one": ldap.OneLevel, "base": ldap.BaseOnly}[s.Scope],
		Filter: s.Filter, Attributes: s.Attributes, IgnoreReferrals: s.Referrals == "ignore", FollowAliases: s.Aliases == "follow",
		Timeout: s.Timeout, Connections: *s.Connections,
	}})
	if err != nil {
		return nil, err
	}
	r.closers = append(r.closers, source.Close)
	return source, nil
}

func (r *rooms) openRFC4387(s *config.Source, _ *slog.Logger) (lookup.Source, error) {
	roots, err := config.ReadRoots(s.TLSRoots)
	if err != nil {
		return nil, err
	}
	source, err := lookup.NewRFC4387(lookup.RFC4387Options{Attribute: s.Attribute, HTTPOptions: lookup.HTTPOptions{
		URL: s.URL, TokenFile: string(s.TokenFile), RootCAs: roots, Timeout: s.Timeout,
		AllowHTTP: true, // the configuration has checked where cleartext is allowed
	}})
	if err != nil {
		return nil, err
	}
	r.closers = append(r.closers, source.Close)
	return source, nil
}
