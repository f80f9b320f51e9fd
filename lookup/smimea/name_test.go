package smimea_test

import (
	"errors"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"sealpost/internal/address"
	"sealpost/internal/testkit"
	"sealpost/lookup/smimea"
)

func parse(t testing.TB, s string) address.Address {
	t.Helper()
	a, err := address.Parse(s)
	if err != nil {
		t.Fatalf("%q: %v", s, err)
	}
	return a
}

// The hash is that of sha256sum, and in the first case that of the RFC.
func TestOwnerName(t *testing.T) {
	testkit.Need(t, "sha256sum")
	for _, test := range []struct{ addr, local, domain string }{
		{"hugh@example.com", "hugh", "example.com"}, // RFC 8162 section 3
		{"Hugh@Example.COM", "Hugh", "example.com"},
		{`"hugh"@example.com`, "hugh", "example.com"},
		{`"h\ugh"@example.com`, "hugh", "example.com"},
		{`"hu gh"@example.com`, "hu gh", "example.com"},
		{`"hu\"gh"@example.com`, `hu"gh`, "example.com"},
		{`"hu..gh"@example.com`, "hu..gh", "example.com"},
		{`"<._smimecert."@example.com`, "<._smimecert.", "example.com"},
		{"hugh+tag@example.com", "hugh+tag", "example.com"},
		{"hugh@localhost", "hugh", "localhost"},
		{"jürgen@bücher.example", "jürgen", "xn--bcher-kva.example"},
		{"ju\u0308rgen@BU\u0308CHER.example", "j\u00fcrgen", "xn--bcher-kva.example"},
		{strings.Repeat("x", 64) + "@example.com", strings.Repeat("x", 64), "example.com"},
		{"hugh@" + strings.Repeat("a.", 89) + "example", "hugh", strings.Repeat("a.", 89) + "example"}, // 255 octets on the wire
	} {
		sum := exec.Command("sha256sum")
		sum.Stdin = strings.NewReader(test.local)
		out, err := sum.Output()
		if err != nil {
			t.Fatal(err)
		}
		want := string(out[:56]) + "._smimecert." + test.domain + "."
		if got, err := smimea.OwnerName(parse(t, test.addr)); got != want || err != nil {
			t.Errorf("%s: %s, %v, want %s", test.addr, got, err, want)
		}
	}
	if got, err := smimea.OwnerName(parse(t, "hugh@example.com")); got != owner || err != nil {
		t.Errorf("the RFC's example: %s, %v", got, err)
	}
}

func TestNoOwnerName(t *testing.T) {
	for addr, want := range map[string]error{
		"anna@[192.0.2.1]":                                smimea.ErrNoDomain,
		"anna@[IPv6:2001:db8::1]":                         smimea.ErrNoDomain,
		"anna@" + strings.Repeat("a.", 90) + "example":    smimea.ErrNameTooLong,
		"anna@" + strings.Repeat("abcdefghi.", 25) + "de": smimea.ErrNameTooLong,
	} {
		if got, err := smimea.OwnerName(parse(t, addr)); !errors.Is(err, want) || got != "" {
			t.Errorf("%s: %q, %v", addr, got, err)
		}
	}
	if _, err := smimea.OwnerName(address.Address{}); !errors.Is(err, address.ErrSyntax) {
		t.Errorf("no address: %v", err)
	}
}

var shape = regexp.MustCompile(`^[0-9a-f]{56}\._smimecert\.[a-z0-9_.-]+\.$`)

// Whatever an address is made of, the name has one shape, goes onto the wire
// whole, and is the same for two spellings of one address alone.
func FuzzOwnerName(f *testing.F) {
	for _, seed := range []string{"hugh@example.com", `"a.b@c\""@x.example`, "ü@ü.example", "u\u0308@x", `"._smimecert."@x`, "a@[192.0.2.1]", "a@a.-b", "a@" + strings.Repeat("a.", 100) + "x"} {
		f.Add(seed, "hugh@example.com")
	}
	f.Fuzz(func(t *testing.T, one, two string) {
		a, err := address.Parse(one)
		if err != nil {
			return
		}
		name, err := smimea.OwnerName(a)
		if err != nil {
			if name != "" || !a.IsLiteral() && len(a.ASCIIDomain()) < 180 {
				t.Fatalf("%q: %q, %v", one, name, err)
			}
			return
		}
		buf := make([]byte, 255)
		if !shape.MatchString(name) {
			t.Fatalf("%q: %q", one, name)
		}
		n, err := dns.PackDomainName(name, buf, 0, nil, false)
		if back, _, err2 := dns.UnpackDomainName(buf[:n], 0); err != nil || err2 != nil || back != name {
			t.Fatalf("%q: %q comes back as %q: %v, %v", one, name, back, err, err2)
		}
		b, err := address.Parse(two)
		if err != nil || b.IsLiteral() {
			return
		}
		if other, err := smimea.OwnerName(b); err == nil && (other == name) != (a.Key() == b.Key()) {
			t.Fatalf("%q and %q: %q and %q", one, two, name, other)
		}
	})
}
