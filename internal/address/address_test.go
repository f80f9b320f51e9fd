package address

import (
	"errors"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestParse(t *testing.T) {
	l64 := strings.Repeat("a", 64)
	for _, test := range []struct{ in, str, key string }{
		{"anna@example.org", "anna@example.org", "anna@example.org"},
		{"Anna@Example.ORG", "Anna@Example.ORG", "Anna@example.org"},
		{`"anna"@example.org`, "anna@example.org", "anna@example.org"},
		{`"a\nna"@example.org`, "anna@example.org", "anna@example.org"},
		{`"a b"@example.org`, `"a b"@example.org`, `"a b"@example.org`},
		{`"a\ b"@example.org`, `"a b"@example.org`, `"a b"@example.org`},
		{`"a\"b"@example.org`, `"a\"b"@example.org`, `"a\"b"@example.org`},
		{`"a\\b"@example.org`, `"a\\b"@example.org`, `"a\\b"@example.org`},
		{`"<x>"@example.org`, `"<x>"@example.org`, `"<x>"@example.org`},
		{`"a..b"@example.org`, `"a..b"@example.org`, `"a..b"@example.org`},
		{"o'brien+tag=x/y@example.org", "o'brien+tag=x/y@example.org", "o'brien+tag=x/y@example.org"},
		{"anna@localhost", "anna@localhost", "anna@localhost"},
		{"anna@my_host.example", "anna@my_host.example", "anna@my_host.example"},
		{"anna@r3---sn.example", "anna@r3---sn.example", "anna@r3---sn.example"},
		{"anna@[192.0.2.1]", "anna@[192.0.2.1]", "anna@[192.0.2.1]"},
		{"anna@[ipv6:2001:DB8:0::1]", "anna@[ipv6:2001:DB8:0::1]", "anna@[IPv6:2001:db8::1]"},
		// One domain, four spellings (RFC 5890).
		{"anna@bücher.example", "anna@bücher.example", "anna@xn--bcher-kva.example"},
		{"anna@BÜCHER.example", "anna@bücher.example", "anna@xn--bcher-kva.example"},
		{"anna@bu\u0308cher.example", "anna@bücher.example", "anna@xn--bcher-kva.example"},
		{"anna@XN--BCHER-KVA.example", "anna@XN--BCHER-KVA.example", "anna@xn--bcher-kva.example"},
		{"anna@bücher。example", "anna@bücher.example", "anna@xn--bcher-kva.example"},
		{"anna@straße.example", "anna@straße.example", "anna@xn--strae-oqa.example"},
		// RFC 6531 local parts; the key is in form C, the wire form is as given.
		{"jürgen@example.org", "jürgen@example.org", "jürgen@example.org"},
		{"ju\u0308rgen@example.org", "ju\u0308rgen@example.org", "jürgen@example.org"},
		{`"j ü"@example.org`, `"j ü"@example.org`, `"j ü"@example.org`},
		{l64 + "@example.org", l64 + "@example.org", l64 + "@example.org"},
	} {
		a, err := Parse(test.in)
		if err != nil {
			t.Errorf("%s: %v", test.in, err)
			continue
		}
		if a.String() != test.str || a.Key() != test.key {
			t.Errorf("%s: String %s, Key %s; want %s and %s", test.in, a, a.Key(), test.str, test.key)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	label63 := strings.Repeat("d", 63)
	for _, test := range []struct {
		in   string
		want error
	}{
		{"", ErrSyntax},
		{"anna", ErrSyntax},
		{"@example.org", ErrSyntax},
		{"anna@", ErrDomain},
		{"an na@example.org", ErrSyntax},
		{"an\u00a0na@example.org", ErrSyntax},
		{"an\u2028na@example.org", ErrSyntax},
		{"an\x00na@example.org", ErrSyntax},
		{"an\x7fna@example.org", ErrSyntax},
		{"an\u0085na@example.org", ErrSyntax},
		{"\"an\u0085na\"@example.org", ErrSyntax},
		{"\"an\u2029na\"@example.org", ErrSyntax},
		{"\"a\r\nRCPT TO:<x@y>\"@example.org", ErrSyntax},
		{"\"a\\\r\"@example.org", ErrSyntax},
		{"\"a\\ü\"@example.org", ErrSyntax},
		{`"anna@example.org`, ErrSyntax},
		{`"anna"x@example.org`, ErrSyntax},
		{`"anna\"@example.org`, ErrSyntax},
		{`""@example.org`, ErrSyntax},
		{`anna"x"@example.org`, ErrSyntax},
		{".anna@example.org", ErrSyntax},
		{"anna.@example.org", ErrSyntax},
		{"an..na@example.org", ErrSyntax},
		{"<anna>@example.org", ErrSyntax},
		{"a(b)@example.org", ErrSyntax},
		{"a,b@example.org", ErrSyntax},
		{"a\xff@example.org", ErrSyntax},
		{"anna%other@example.org", ErrRouting},
		{"other!anna@example.org", ErrRouting},
		{"anna@other@example.org", ErrRouting},
		{`"anna@other"@example.org`, ErrRouting},
		{`"victim@other> X="@example.org`, ErrRouting},
		{"anna％other@example.org", ErrRouting},
		{"anna＠other@example.org", ErrRouting},
		{"@relay.example:anna@example.org", ErrRouting},
		{"anna@example.org.", ErrDomain},
		{"anna@.example.org", ErrDomain},
		{"anna@exa mple.org", ErrDomain},
		{"anna@example..org", ErrDomain},
		{"anna@-example.org", ErrDomain},
		{"anna@example-.org", ErrDomain},
		{"anna@exam\tple.org", ErrDomain},
		{"anna@exam>ple.org", ErrDomain},
		{"anna@exam\u0000ple.org", ErrDomain},
		{"anna@a\u202eb.example", ErrDomain},
		{"anna@" + label63 + "d.example", ErrDomain},
		{"anna@℀.example", ErrDomain},
		{"anna@[192.0.2.1", ErrDomain},
		{"anna@[192.0.2.256]", ErrDomain},
		{"anna@[192.0.2.01]", ErrDomain},
		{"anna@[2001:db8::1]", ErrDomain},
		{"anna@[IPv6:192.0.2.1]", ErrDomain},
		{"anna@[IPv6:fe80::1%eth0]", ErrDomain},
		{"anna@[tag:x]", ErrDomain},
		{strings.Repeat("a", 65) + "@example.org", ErrTooLong},
		{strings.Repeat("ü", 33) + "@example.org", ErrTooLong},
		{`"` + strings.Repeat(" ", 63) + `"@example.org`, ErrTooLong},
		{"anna@" + strings.Repeat(label63+".", 4) + "d", ErrTooLong},
		{"anna@" + strings.Repeat(label63+".", 3) + label63[:62], ErrDomain}, // 254 octets
		{strings.Repeat("a", 5000) + "@example.org", ErrTooLong},
	} {
		if a, err := Parse(test.in); !errors.Is(err, test.want) {
			t.Errorf("%q: %q, %v; want %v", test.in, a, err, test.want)
		}
	}
}

func TestNull(t *testing.T) {
	var null Address
	if !null.IsNull() || null.String() != "" || null.Key() != "" || null.NeedsUTF8() {
		t.Errorf("the zero value is not the null reverse-path: %#v", null)
	}
}

func TestNeedsUTF8(t *testing.T) {
	for in, want := range map[string]bool{
		"anna@example.org": false, "anna@xn--bcher-kva.example": false,
		"jürgen@example.org": true, "anna@bücher.example": true,
	} {
		a, err := Parse(in)
		if err != nil || a.NeedsUTF8() != want {
			t.Errorf("%s: NeedsUTF8 %v, %v", in, a.NeedsUTF8(), err)
		}
	}
}

// FuzzParse holds what every other room relies on: an address is written as
// it is read, its key is stable, and nothing in it can end a command, a line
// or a path.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"anna@example.org", `"a b\"\\"@example.org`, "jürgen@bücher.example", "a@[IPv6:::1]", "a@[192.0.2.1]",
		"\"\u00a0 \"@x", "ju\u0308@bu\u0308.example", "a@xn--a.example", "a@ß.example", `"<>"@x`, "a%b@c", "a@☃.example",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		a, err := Parse(in)
		if err != nil {
			if a != (Address{}) {
				t.Fatalf("%q: an error and an address", in)
			}
			return
		}
		s := a.String()
		if again, err := Parse(s); err != nil || again != a {
			t.Fatalf("%q -> %q -> %#v, %v; want %#v", in, s, again, err, a)
		}
		// Form C is longer than what was given for a few letters.
		byKey, err := Parse(a.Key())
		if !errors.Is(err, ErrTooLong) && (err != nil || byKey.Key() != a.Key()) {
			t.Fatalf("%q: key %q -> %q, %v", in, a.Key(), byKey.Key(), err)
		}
		checkWire(t, s)
		if strings.ContainsAny(a.Local(), "%!@") {
			t.Fatalf("%q has a route", s)
		}
	})
}

// checkWire walks over s as a server does that knows quotes and nothing else.
func checkWire(t *testing.T, s string) {
	t.Helper()
	if !utf8.ValidString(s) || len(s) > maxLocal+1+maxDomain {
		t.Fatalf("%q is not UTF-8 or too long", s)
	}
	quoted, escaped := false, false
	for _, r := range s {
		switch {
		case unicode.IsControl(r):
			t.Fatalf("%q has a control character", s)
		case escaped:
			escaped = false
		case quoted && r == '\\':
			escaped = true
		case r == '"':
			quoted = !quoted
		case !quoted && (unicode.IsSpace(r) || r == '<' || r == '>'):
			t.Fatalf("%q has %q outside of quotes", s, r)
		}
	}
	if quoted || escaped {
		t.Fatalf("%q has an open quote", s)
	}
}
