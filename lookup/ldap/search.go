package ldap

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"sealpost/internal/address"
)

// Why an answer is not whole, and so is none.
var (
	ErrReferral = errors.New("part of the directory is on other servers, which are not asked: narrow base, or set referrals: ignore")
	ErrTooMany  = errors.New("too many entries match: narrow filter or base")
	ErrPartial  = errors.New("the server gave only some of an attribute's values")
)

// An Entry is one that matches.
type Entry struct {
	Where  string   // its URL (RFC 4516)
	Values [][]byte // of the attributes, each once: certificates, or PKCS #7 bundles of some
}

// Search asks for the entries of an address. No entries, and entries without
// values, are the directory's own words; the server cannot tell apart what is
// not there and what the login may not see.
//
// Everything else is an error: *ResultError, ErrReferral, ErrTooMany,
// ErrPartial, ErrTooLarge, ErrMalformed, ErrDisconnect, ErrUnasked, ErrStartTLS,
// ErrLogin, one of the network or TLS, or of ctx.
func (c *Client) Search(ctx context.Context, addr address.Address) ([]Entry, error) {
	if addr.IsNull() {
		return nil, address.ErrSyntax
	}
	ctx, cancel := context.WithTimeout(ctx, c.opts.Timeout)
	defer cancel()
	select {
	case c.turns <- struct{}{}:
		defer func() { <-c.turns }()
	case <-ctx.Done():
		return nil, fmt.Errorf("no free connection in time: %w", ctx.Err())
	}
	request := c.request
	request.Filter = c.filter.For(addr)
	var errs []error
	servers := c.order()
	for i, s := range servers {
		entries, err := c.ask(ctx, s, &request, len(servers)-i)
		if err == nil || final(err) {
			return entries, wrap(s, err)
		}
		errs = append(errs, wrap(s, err))
		if ctx.Err() != nil {
			break
		}
	}
	return nil, errors.Join(errs...)
}

func wrap(s *server, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", s.url, err)
}

// ask asks one server, which has its share of the time.
func (c *Client) ask(ctx context.Context, s *server, request *ldap.SearchRequest, among int) ([]Entry, error) {
	if err := s.refused(); err != nil {
		return nil, err
	}
	own, cancel := share(ctx, among)
	defer cancel()
	result, err := s.search(own, request)
	var entries []Entry
	if err == nil {
		entries, err = c.entries(s, result)
	}
	switch {
	case err == nil || final(err):
		s.note(nil) // it is there and does its work
	case !errors.Is(ctx.Err(), context.Canceled) && !errors.Is(err, errNotTried): // otherwise it had no chance
		s.note(err)
	}
	return entries, err
}

// entries takes what is of use out of a result.
func (c *Client) entries(s *server, result *ldap.SearchResult) ([]Entry, error) {
	if len(result.Referrals) > 0 && !c.opts.IgnoreReferrals {
		return nil, fmt.Errorf("%w (%s)", ErrReferral, tidy(result.Referrals[0]))
	}
	entries := make([]Entry, 0, len(result.Entries))
	for _, found := range result.Entries {
		e := Entry{Where: s.url + "/" + url.PathEscape(found.DN)}
		seen := map[string]bool{}
		for _, attribute := range found.Attributes {
			wanted, partial := c.wants(attribute.Name)
			if partial {
				return nil, ErrPartial
			}
			if !wanted {
				continue
			}
			for _, v := range attribute.ByteValues {
				if !seen[string(v)] {
					seen[string(v)] = true
					e.Values = append(e.Values, v)
				}
			}
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// wants reports whether an attribute of an entry is one of those asked for, in
// whatever way the server spells it, and whether it is only a part: Active
// Directory answers NAME;range=0-1499 when there are more values.
func (c *Client) wants(description string) (wanted, partial bool) {
	name, options, _ := strings.Cut(description, ";")
	wanted = slices.ContainsFunc(c.opts.Attributes, func(a string) bool {
		a, _, _ = strings.Cut(a, ";")
		return strings.EqualFold(a, name)
	})
	for option := range strings.SplitSeq(options, ";") {
		if r := strings.ToLower(option); wanted && strings.HasPrefix(r, "range=") && r != "range=0-*" {
			partial = true
		}
	}
	return wanted, partial
}
