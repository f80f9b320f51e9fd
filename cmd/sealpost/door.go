package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"sync/atomic"

	"sealpost/config"
	"sealpost/relay/intake"
	"sealpost/relay/userfile"
)

// certificates holds a listener's TLS certificate; a reload exchanges it
// without a connection noticing.
type certificates struct {
	current atomic.Pointer[tls.Config]
	next    *tls.Config
}

// users holds who may log in at a listener.
type users struct {
	current atomic.Pointer[userfile.Users]
	next    *userfile.Users
}

// prepare reads what the configuration names, so that a mistake is found
// before anything is exchanged.
func (d *door) prepare(l *config.Listen) error {
	if d.certs != nil {
		pair, err := tls.LoadX509KeyPair(string(l.TLS.Cert), string(l.TLS.Key))
		if err != nil {
			return fmt.Errorf("listener %s: tls: %w", l.Address, err)
		}
		d.certs.next = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	}
	if d.users != nil {
		u, err := userfile.Open(string(l.Auth.Users))
		if err != nil {
			return fmt.Errorf("%s: %w", l.Auth.Users, err)
		}
		d.users.next = u
	}
	return nil
}

// commit exchanges what prepare has read.
func (d *door) commit() {
	if d.certs != nil {
		d.certs.current.Store(d.certs.next)
	}
	if d.users != nil {
		d.users.current.Store(d.users.next)
	}
}

var tlsModes = map[string]intake.TLSMode{
	"none": intake.TLSNone, "starttls": intake.TLSStart, "require": intake.TLSRequire, "implicit": intake.TLSImplicit,
}

// intakeOptions composes what one listener needs.
func (s *server) intakeOptions(l *config.Listen, d *door) (intake.Options, error) {
	limits := &s.config.Limits
	o := intake.Options{
		Hostname: s.config.Hostname, Name: l.Address, Handler: s.relay, Log: s.log,
		TLS: tlsModes[l.TLS.Mode], XForward: l.XForward, XClient: l.XForward, Proxy: l.Proxy,
		Without: intake.Without{Chunking: !l.Chunking},
		// Without a queue there is nobody to write the report that a server
		// without DSN leaves to us (RFC 3461 section 5.2.2).
		OfferDSN: func() bool { return s.waiting != nil || s.rooms.Load().upstream.OffersDSN() },
		Limits: intake.Limits{
			MessageSize: int64(limits.MessageSize), Recipients: limits.Recipients, Connections: limits.Connections,
			PerClient: unlimited(limits.ConnectionsPerClient), Errors: limits.Errors, MinRate: int64(unlimited(int(limits.MinRate))),
			AuthFailures: limits.AuthFailures,
		},
		Timeouts: intake.Timeouts{Command: limits.CommandTimeout, Window: limits.RateWindow},
		Hooks:    s.metrics.intakeHooks(),
	}
	if l.Protocol == "lmtp" {
		o.Protocol = intake.LMTP
	}
	if l.BareNewline == "normalize" {
		o.BareNewline = intake.Normalize
	}
	if o.TLS != intake.TLSNone {
		d.certs = &certificates{}
		o.TLSConfig = d.certs.current.Load
	}
	if l.Auth != nil {
		d.users = &users{}
		o.Auth = func(_ context.Context, user, password string) bool {
			return d.users.current.Load().Check(user, password)
		}
	}
	if err := d.prepare(l); err != nil {
		return o, err
	}
	d.commit()
	return o, nil
}

// unlimited is how intake spells the configuration's 0.
func unlimited(n int) int {
	if n == 0 {
		return -1
	}
	return n
}
