package lookup

import (
	"errors"
	"net"
	"net/url"
	"strings"

	"sealpost/internal/address"
)

// Errors of NewHTTP about the URL.
var (
	ErrNoAddressInURL = errors.New("lookup: the URL has no {address} in its path or query")
	ErrURL            = errors.New("lookup: the URL of a source must be https://host/… without user, fragment or placeholders in the host")
	ErrCleartextURL   = errors.New("lookup: http: is allowed to this machine only; use https:, or allow it explicitly")
)

// checkTemplate tries the template on an address that needs no escaping.
func (h *HTTP) checkTemplate() error {
	before, _, _ := strings.Cut(h.opts.URL, "{")
	rest, ok := strings.CutPrefix(before, "https://")
	if !ok {
		rest, ok = strings.CutPrefix(before, "http://")
	}
	if !ok || !strings.ContainsAny(rest, "/?") {
		return ErrURL
	}
	if !strings.Contains(h.opts.URL, "{address}") {
		return ErrNoAddressInURL
	}
	sample, err := address.Parse("a@example.org")
	if err != nil {
		return err
	}
	u, err := url.Parse(h.expand(sample))
	if err != nil || u.User != nil || u.Fragment != "" || u.Host == "" || strings.ContainsAny(h.expand(sample), "{}") {
		return ErrURL
	}
	return h.checkScheme(u)
}

// checkScheme lets http: go to this machine only.
func (h *HTTP) checkScheme(u *url.URL) error {
	switch ip := net.ParseIP(u.Hostname()); {
	case u.Scheme == "https":
		return nil
	case u.Scheme != "http":
		return ErrURL
	case h.opts.AllowHTTP, u.Hostname() == "localhost", ip != nil && ip.IsLoopback():
		return nil
	}
	return ErrCleartextURL
}

// expand puts the address into the template.
func (h *HTTP) expand(addr address.Address) string {
	path, query, hasQuery := strings.Cut(h.opts.URL, "?")
	fill := func(part string, escape func(string) string) string {
		return strings.NewReplacer("{address}", escape(addr.Key()), "{domain}", escape(addr.ASCIIDomain())).Replace(part)
	}
	path = fill(path, url.PathEscape)
	if !hasQuery {
		return path
	}
	return path + "?" + fill(query, url.QueryEscape)
}
