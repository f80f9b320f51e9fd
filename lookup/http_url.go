package lookup

import (
	"errors"
	"net/url"
	"strings"

	"sealpost/internal/address"
	"sealpost/lookup/fetch"
)

// Errors of NewHTTP about the URL.
var (
	ErrNoAddressInURL = errors.New("lookup: the URL has no {address} in its path or query")
	ErrURL            = fetch.ErrURL
	ErrCleartextURL   = fetch.ErrCleartext
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
	return fetch.CheckScheme(u, h.opts.AllowHTTP)
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
