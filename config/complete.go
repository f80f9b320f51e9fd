package config

import (
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"time"

	"sealpost/internal/address"
	"sealpost/relay/spool"
)

// complete fills in the defaults that depend on other keys or on the machine.
func complete(c *Config, f *findings, around surroundings) {
	if !f.has("hostname") {
		name, err := around.hostname()
		if err != nil || !fullName(name) {
			f.wrong("hostname", "is required here, because the machine's own name (%s) is not a full domain name", quote(name))
		} else {
			c.Hostname = name
		}
	}
	if l := &c.Limits; l.ConnectionsPerClient == 0 {
		l.ConnectionsPerClient = max(1, l.Connections/2)
	}
	if c.OnTrouble == "" {
		c.OnTrouble = "defer"
		if c.Spool != nil {
			c.OnTrouble = "spool"
		}
	}
	if c.Control == "" && c.Spool != nil && c.Spool.Dir != "" {
		c.Control = Path(filepath.Join(string(c.Spool.Dir), spool.SocketName))
	}
	for i := range c.Upstream {
		u := &c.Upstream[i]
		if !f.has(join(item("upstream", i), "verify")) {
			u.Verify = u.TLS == "require" || u.TLS == "implicit"
		}
		if host, _, err := net.SplitHostPort(u.Address); err == nil && u.ServerName == "" && u.TLS != "none" {
			u.ServerName = host
		}
	}
	for i := range c.Lookup.Sources {
		s := &c.Lookup.Sources[i]
		if s.Trust == "" {
			s.Trust = sourceKinds()[s.Type].trust
		}
		if s.Type == "ldap" {
			completeLDAP(s)
		}
		if s.Mirror != "" && s.Stale == nil {
			day := 24 * time.Hour
			s.Stale = &day
		}
		if s.Timeout == 0 {
			s.Timeout = c.Lookup.Timeout
		}
		if s.Type == "smimea" && s.Unsigned == "" {
			s.Unsigned = "none"
		}
	}
	completeDirectory(c)
	if !f.has("policy") {
		c.Policy = []Rule{{Name: "default", Client: []netip.Prefix{}, Encrypt: "always", NoKey: "reject"}}
	}
}

// fullName reports a domain name of two labels or more that is no IP address.
func fullName(name string) bool {
	ascii, err := address.Domain(name)
	if err != nil || ascii != strings.ToLower(name) {
		return false
	}
	labels := strings.Split(ascii, ".")
	last := labels[len(labels)-1]
	return len(labels) > 1 && strings.Trim(last, "0123456789") != ""
}
