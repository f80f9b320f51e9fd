package address

import (
	"strings"
	"testing"
)

func mustParse(t *testing.T, s string) Address {
	t.Helper()
	a, err := Parse(s)
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return a
}

func TestWithoutTag(t *testing.T) {
	for in, want := range map[string]string{
		"anna@example.org":             "",
		"anna+@example.org":            "anna@example.org",
		"anna+a+b@example.org":         "anna@example.org",
		"Anna+a@Example.ORG":           "Anna@Example.ORG",
		"+a@example.org":               "",
		`"a b+c"@example.org`:          `"a b"@example.org`,
		`"a.+b"@example.org`:           `"a."@example.org`,
		"jürgen+ä@bücher.example":      "jürgen@bücher.example",
		"anna+bills@[192.0.2.1]":       "anna@[192.0.2.1]",
		"anna-bills@example.org":       "",
		"anna\uff0bbills@example.org":  "", // a full-width plus is no plus
		"anna+" + "b" + "@example.org": "anna@example.org",
		"anna.+bills@example.org":      `"anna."@example.org`,
	} {
		a, err := Parse(in)
		if err != nil {
			if want != "" {
				t.Errorf("%s: %v", in, err)
			}
			continue
		}
		if got, ok := a.WithoutTag(); got.String() != want || ok != (want != "") {
			t.Errorf("%s: %q, %v; want %q", in, got, ok, want)
		}
	}
}

func TestDomainAuthority(t *testing.T) {
	for in, want := range map[string]string{
		"anna@example.org":    "domain-confidentiality-authority@example.org",
		"anna@bücher.example": "domain-confidentiality-authority@bücher.example",
		"anna@[192.0.2.1]":    "",
	} {
		a, ok := mustParse(t, in).DomainAuthority()
		if a.String() != want || ok != (want != "") || ok && !a.IsDomainAuthority() {
			t.Errorf("%s: %q", in, a)
		}
	}
	if _, ok := (Address{}).DomainAuthority(); ok {
		t.Error("the null path has one")
	}
	if !mustParse(t, "Domain-Confidentiality-Authority@example.org").IsDomainAuthority() || mustParse(t, "anna@example.org").IsDomainAuthority() {
		t.Error("not told apart")
	}
}

func TestSameBox(t *testing.T) {
	for _, test := range []struct {
		a, b          string
		same, exactly bool
	}{
		{"anna@example.org", "anna@EXAMPLE.org", true, true},
		{"anna@example.org", "Anna@example.org", true, false},
		{`"anna"@example.org`, "anna@example.org", true, true},
		{"anna@example.org", "anna@example.com", false, false},
		{"anna@example.org", "anne@example.org", false, false},
		{"jürgen@example.org", "ju\u0308rgen@example.org", true, true},
		{"JÜRGEN@example.org", "ju\u0308rgen@example.org", true, false},
		{"anna@bücher.example", "anna@xn--bcher-kva.example", true, true},
		{"boss@example.org", "boſs@example.org", false, false},      // long s
		{"karl@example.org", "\u212aarl@example.org", true, false},  // KELVIN SIGN is canonically K
		{"\u212aarl@example.org", "Karl@example.org", true, true},   // the same
		{"ilse@example.org", "İlse@example.org", false, false},      // i with a dot above
		{"straße@example.org", "STRASSE@example.org", false, false}, // two letters
		{"anna@example.org", "аnnа@example.org", false, false},      // Cyrillic a
		{"anna@[192.0.2.1]", "anna@[192.0.2.1]", true, true},        //
		{"anna@[IPv6:2001:db8::1]", "anna@[IPv6:2001:DB8:0::1]", true, true},
	} {
		a, b := mustParse(t, test.a), mustParse(t, test.b)
		if same, exactly := a.SameBox(b); same != test.same || exactly != test.exactly {
			t.Errorf("%s and %s: %v, %v", a, b, same, exactly)
		}
		if same, exactly := b.SameBox(a); same != test.same || exactly != test.exactly {
			t.Errorf("%s and %s the other way round: %v, %v", a, b, same, exactly)
		}
		if _, exactly := a.SameBox(b); exactly != (a.Key() == b.Key()) {
			t.Errorf("%s and %s: exactly %v, but keys %s and %s", a, b, exactly, a.Key(), b.Key())
		}
	}
}

// What stands in for an address is in its own domain, and has no further tag.
func FuzzStandIns(f *testing.F) {
	for _, s := range []string{"anna+bills@example.org", `"a b+c"@example.org`, "ä+b@bücher.example", "a+b@[192.0.2.1]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := Parse(s)
		if err != nil {
			return
		}
		if plain, ok := a.WithoutTag(); ok {
			if plain.ASCIIDomain() != a.ASCIIDomain() || strings.Contains(plain.Local(), "+") || !strings.HasPrefix(a.Local(), plain.Local()+"+") {
				t.Errorf("%s without its tag is %s", a, plain)
			}
		}
		if authority, ok := a.DomainAuthority(); ok && (authority.ASCIIDomain() != a.ASCIIDomain() || authority.Local() != domainAuthority) {
			t.Errorf("of %s: %s", a, authority)
		}
	})
}
