// Package ldap asks LDAP directories (RFC 4511) for the certificates of an
// address. It stands on go-ldap, which knows neither contexts nor bounds: each
// connection is guarded by a reader that lets only small, well-formed messages
// through, a deadline closes it, and a pool keeps it between lookups.
//
// A Client asks one directory, which may have several servers. An answer
// without entries is said with authority; whatever keeps an answer from being
// whole (a referral, a limit, a refusal, a connection that ends) is an error.
package ldap

import (
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// A Scope says which entries below the base are searched (RFC 4511 section
// 4.5.1.2).
type Scope int

// The scopes. The zero value is the whole subtree.
const (
	Subtree Scope = iota
	OneLevel
	BaseOnly
)

// A BindMode says how a connection authenticates (RFC 4513 section 5).
type BindMode int

// The modes. The zero value does not authenticate.
const (
	Anonymous BindMode = iota
	Simple             // with BindDN and Password
	External           // SASL EXTERNAL: the TLS client certificate, or the peer of a Unix socket
)

// Options say which directory is asked, and how. Zero values of numbers and
// durations stand for the defaults.
type Options struct {
	// URLs name the servers in order of preference: ldap://HOST[:PORT],
	// ldaps://HOST[:PORT], or ldapi://%2Fpath%2Fto%2Fsocket. A server that is
	// away is left alone for Pause, and then tried again.
	URLs     []string
	StartTLS bool        // for ldap: URLs; the server must offer it (RFC 4511 section 4.14)
	TLS      *tls.Config // roots, client certificate, name of the server; default: the system's roots, the URL's host

	Bind     BindMode
	BindDN   string                 // for Simple
	Password func() (string, error) // for Simple; called for each new connection

	Base       string   // where the search begins
	Scope      Scope    //
	Filter     string   // see ParseFilter; default (mail={address})
	Attributes []string // default: userCertificate;binary, userSMIMECertificate;binary and both without ;binary
	// IgnoreReferrals passes over the parts of the directory that other servers
	// hold (search result references). Otherwise an answer that has some is an
	// error. Referrals are never followed.
	IgnoreReferrals bool
	FollowAliases   bool // the server dereferences aliases (RFC 4512 section 2.6)

	Timeout     time.Duration // of one lookup, default 3 s
	Pause       time.Duration // for which a server that failed is asked last, default 30 s
	IdleTimeout time.Duration // of a connection that is not used, default 1 min
	Connections int           // to each server, and lookups at a time, default 8
	MaxAnswer   int           // bytes of one answer, default 1 MiB
	MaxEntries  int           // of one answer, default 16
}

// defaultAttributes are those of RFC 4523 and RFC 2798. Servers that know the
// certificate syntax want ;binary (RFC 4522), others do without.
var defaultAttributes = []string{"userCertificate;binary", "userSMIMECertificate;binary", "userCertificate", "userSMIMECertificate"}

// Errors of New, of ParseFilter and of CheckURL.
var (
	ErrURL    = errors.New("ldap: the URL of a server must be ldap://HOST[:PORT], ldaps://HOST[:PORT] or ldapi://%2Fpath%2Fto%2Fsocket, without base, filter or user")
	ErrBase   = errors.New("ldap: the base is not a distinguished name")
	ErrFilter = errors.New("ldap: the filter is not usable")
	ErrBind   = errors.New("ldap: the way to authenticate is not complete")
)

// A Client asks the servers of one directory. It may be used by many
// goroutines at once.
type Client struct {
	opts    Options
	filter  Filter
	request ldap.SearchRequest // but for filter and time limit
	servers []*server
	turns   chan struct{} // taken by each lookup under way
}

// New checks the options; it does not connect. The errors are ErrURL, ErrBase,
// ErrFilter or ErrBind.
func New(opts Options) (*Client, error) {
	opts.complete()
	filter, err := ParseFilter(opts.Filter)
	if err != nil {
		return nil, err
	}
	if err := CheckBase(opts.Base); err != nil {
		return nil, err
	}
	if opts.Bind == Simple && (opts.BindDN == "" || opts.Password == nil) {
		return nil, fmt.Errorf("%w: a simple bind needs a name and a password", ErrBind)
	}
	c := &Client{opts: opts, filter: filter, turns: make(chan struct{}, opts.Connections)}
	if len(opts.URLs) == 0 {
		return nil, ErrURL
	}
	for _, u := range opts.URLs {
		at, err := parseURL(u)
		if err != nil {
			return nil, err
		}
		c.servers = append(c.servers, &server{location: at, opts: &c.opts, door: make(chan struct{}, 1)})
	}
	c.request = ldap.SearchRequest{
		BaseDN: opts.Base, Scope: scopes[opts.Scope], SizeLimit: opts.MaxEntries, EnforceSizeLimit: true,
		Attributes: opts.Attributes,
	}
	if opts.FollowAliases {
		c.request.DerefAliases = ldap.DerefAlways
	}
	return c, nil
}

var scopes = map[Scope]int{Subtree: ldap.ScopeWholeSubtree, OneLevel: ldap.ScopeSingleLevel, BaseOnly: ldap.ScopeBaseObject}

func (o *Options) complete() {
	for _, d := range []struct {
		value     *time.Duration
		otherwise time.Duration
	}{{&o.Timeout, 3 * time.Second}, {&o.Pause, 30 * time.Second}, {&o.IdleTimeout, time.Minute}} {
		if *d.value <= 0 {
			*d.value = d.otherwise
		}
	}
	for _, n := range []struct {
		value     *int
		otherwise int
	}{{&o.Connections, 8}, {&o.MaxAnswer, 1 << 20}, {&o.MaxEntries, 16}} {
		if *n.value <= 0 {
			*n.value = n.otherwise
		}
	}
	if o.Filter == "" {
		o.Filter = "(mail={address})"
	}
	if len(o.Attributes) == 0 {
		o.Attributes = defaultAttributes
	}
	if o.TLS == nil {
		o.TLS = &tls.Config{}
	}
}

// CheckBase reports ErrBase for what is no distinguished name (RFC 4514).
func CheckBase(base string) error {
	if _, err := ldap.ParseDN(base); err != nil {
		return fmt.Errorf("%w: %w", ErrBase, err)
	}
	return nil
}

// Close closes the connections that are not in use. Lookups under way end as
// if nothing had happened.
func (c *Client) Close() {
	for _, s := range c.servers {
		s.close()
	}
}
