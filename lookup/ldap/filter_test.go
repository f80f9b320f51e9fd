package ldap

import (
	"errors"
	"strings"
	"testing"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"

	"sealpost/internal/address"
)

func TestParseFilter(t *testing.T) {
	for _, good := range []string{
		"(mail={address})", "(|(mail={address})(uid={local}))", "(&(objectClass=person)(mail={local}@{domain}))",
		"(proxyAddresses=smtp:{address})", "(!(mail={address}))", "(mail=*{local}*)", "(mail:caseExactMatch:={address})",
		"(mail~={address})", `(&(o=\28x\29)(mail={address}))`,
	} {
		if _, err := ParseFilter(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{
		"", "mail={address}", "(mail=anna@example.org)", "(mail={domain})", "(mail={address}", "(mail={address}))", "(mail={address})(uid=x)",
		"({address}=mail)", "({address}=*)", "(|({local}=x)(mail={address}))", "(mail:{address}:=x)", "(mail={address})x", "({address})",
		"(mail={email})(uid={local})", "(&(mail={address})(x={y}))", `(mail=\zz{address})`, "(&{address})", strings.Repeat("(&", 3000) + "(mail={address})",
	} {
		if _, err := ParseFilter(bad); !errors.Is(err, ErrFilter) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

// Whatever the address, the filter stays what the operator wrote: the address
// becomes values, each equal to what it stands for, and nothing else.
func FuzzFilter(f *testing.F) {
	for _, seed := range []string{
		"anna@example.org", `"*)(mail=*"@example.org`, `"\\"@example.org`, "jürgen@bücher.example", `"a\28b"@example.org`, "*@example.org",
		`"{domain}"@example.org`, "\"\u00a0\ufffd\"@example.org", `"())(|(&"@x`, "a@[192.0.2.1]", "{local}@{address}.example",
	} {
		f.Add(seed)
	}
	simple, err := ParseFilter("(mail={address})")
	if err != nil {
		f.Fatal(err)
	}
	wide, err := ParseFilter("(&(objectClass=person)(|(mail={address})(!(uid={local}))(mail=*@{domain})))")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, s string) {
		addr, err := address.Parse(s)
		if err != nil {
			return
		}
		got := outline(t, simple.For(addr))
		if want := equality("mail", addr.Key()); got != want {
			t.Fatalf("%q: %q, want %q", s, got, want)
		}
		want := "&[" + equality("objectClass", "person") + "|[" + equality("mail", addr.Key()) + "![" + equality("uid", addr.Local()) + "]" +
			"mail=~<@" + addr.ASCIIDomain() + ">]]"
		if got := outline(t, wide.For(addr)); got != want {
			t.Fatalf("%q: %q, want %q", s, got, want)
		}
	})
}

func equality(attribute, value string) string { return attribute + "=<" + value + ">" }

// outline writes what go-ldap makes of a filter, with values as the server will
// see them.
func outline(t *testing.T, filter string) string {
	t.Helper()
	p, err := ldap.CompileFilter(filter)
	if err != nil {
		t.Fatalf("%q: %v", filter, err)
	}
	again, err := ber.DecodePacketErr(p.Bytes())
	if err != nil {
		t.Fatalf("%q: %v", filter, err)
	}
	return outlineOf(again)
}

func outlineOf(p *ber.Packet) string {
	text := func(c *ber.Packet) string { return c.Data.String() }
	switch p.Tag {
	case ldap.FilterAnd, ldap.FilterOr, ldap.FilterNot:
		s := string("&|!"[p.Tag]) + "["
		for _, c := range p.Children {
			s += outlineOf(c)
		}
		return s + "]"
	case ldap.FilterEqualityMatch:
		return text(p.Children[0]) + "=<" + text(p.Children[1]) + ">"
	case ldap.FilterSubstrings:
		s := text(p.Children[0]) + "=~"
		for _, c := range p.Children[1].Children {
			s += "<" + text(c) + ">"
		}
		return s
	}
	return "?"
}

func TestParseURL(t *testing.T) {
	for in, want := range map[string]location{
		"ldap://ldap.example.org":         {"tcp", "ldap.example.org:389", "ldap.example.org", false, "ldap://ldap.example.org:389"},
		"ldaps://ldap.example.org/":       {"tcp", "ldap.example.org:636", "ldap.example.org", true, "ldaps://ldap.example.org:636"},
		"ldaps://[2001:db8::1]:3269":      {"tcp", "[2001:db8::1]:3269", "2001:db8::1", true, "ldaps://[2001:db8::1]:3269"},
		"ldapi://%2Frun%2Fslapd%2Fldapi":  {"unix", "/run/slapd/ldapi", "", false, "ldapi://%2Frun%2Fslapd%2Fldapi"},
		"ldapi://%2Frun%2Fslapd%2Fldapi/": {"unix", "/run/slapd/ldapi", "", false, "ldapi://%2Frun%2Fslapd%2Fldapi"},
	} {
		if got, err := parseURL(in); err != nil || got != want {
			t.Errorf("%s: %+v, %v", in, got, err)
		}
	}
	for _, bad := range []string{
		"", "ldap.example.org", "ldap://", "http://ldap.example.org", "cldap://ldap.example.org", "ldap://u:p@ldap.example.org", "ldap://ldap.example.org/dc=example",
		"ldap://ldap.example.org?mail", "ldap://ldap.example.org#x", "ldap://ldap.example.org:port", "ldapi://", "ldapi://run", "ldapi:///", "ldapi://%zz", "ldapi://%2Frun?x",
		"ldaps://ldap.example.org/??sub?(mail=*)",
	} {
		if _, err := parseURL(bad); !errors.Is(err, ErrURL) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	good := Options{URLs: []string{"ldap://localhost"}, Base: "dc=example,dc=org"}
	for name, c := range map[string]struct {
		change func(*Options)
		want   error
	}{
		"nothing":           {func(*Options) {}, nil},
		"no server":         {func(o *Options) { o.URLs = nil }, ErrURL},
		"a bad server":      {func(o *Options) { o.URLs = append(o.URLs, "x") }, ErrURL},
		"a bad base":        {func(o *Options) { o.Base = "example" }, ErrBase},
		"a bad filter":      {func(o *Options) { o.Filter = "(mail=*)" }, ErrFilter},
		"bind without name": {func(o *Options) { o.Bind, o.Password = Simple, func() (string, error) { return "x", nil } }, ErrBind},
		"no password":       {func(o *Options) { o.Bind, o.BindDN = Simple, "cn=x" }, ErrBind},
	} {
		opts := good
		c.change(&opts)
		if _, err := New(opts); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
