package policy

import (
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"sealpost/internal/address"
)

func addr(t testing.TB, s string) address.Address {
	t.Helper()
	if s == "" {
		return address.Address{}
	}
	a, err := address.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestRulesMatch(t *testing.T) {
	request := Request{
		Sender: addr(t, "Statements@Bank.example"), Recipient: addr(t, "anna@bücher.example"),
		Listener: "127.0.0.1:25", Client: netip.MustParseAddr("10.1.2.3"),
	}
	for _, c := range []struct {
		name string
		rule Rule
		want bool
	}{
		{"no condition", Rule{}, true},
		{"star", Rule{Sender: "*", Recipient: "*"}, true},
		{"sender in another case", Rule{Sender: "statements@bank.EXAMPLE"}, true},
		{"sender's domain", Rule{Sender: "*@bank.example"}, true},
		{"a domain below", Rule{Sender: "*@*.bank.example"}, false},
		{"recipient in U-labels", Rule{Recipient: "*@bücher.example"}, true},
		{"recipient in A-labels", Rule{Recipient: "*@xn--bcher-kva.example"}, true},
		{"null sender wanted", Rule{Sender: "<>"}, false},
		{"listener", Rule{Listener: "127.0.0.1:25"}, true},
		{"other listener", Rule{Listener: "127.0.0.1:26"}, false},
		{"client", Rule{Client: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("10.0.0.0/8")}}, true},
		{"other client", Rule{Client: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}, false},
		{"all but one", Rule{Sender: "*@bank.example", Recipient: "bert@*"}, false},
	} {
		if got := len(New([]Rule{c.rule}).Candidates(request)) == 1; got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

// A pattern means the domain, in whichever spelling the client wrote it.
func TestBothSpellingsOfADomain(t *testing.T) {
	for _, pattern := range []string{"*@bücher.example", "*@xn--bcher-kva.example", "Anna@BÜCHER.example"} {
		for _, recipient := range []string{"anna@bücher.example", "anna@xn--bcher-kva.example", "anna@XN--BCHER-KVA.example"} {
			p := New([]Rule{{Recipient: pattern}})
			if len(p.Candidates(Request{Recipient: addr(t, recipient)})) != 1 {
				t.Errorf("%s does not match %s", pattern, recipient)
			}
		}
	}
}

func TestNullSender(t *testing.T) {
	p := New([]Rule{{Name: "people", Sender: "*@*"}, {Name: "bounces", Sender: "<>"}})
	if got := p.Candidates(Request{Recipient: addr(t, "anna@example.org")}); len(got) != 1 || got[0].Name != "bounces" {
		t.Errorf("%v", got)
	}
}

func TestCandidatesEndAtTheFirstRuleWithoutHeader(t *testing.T) {
	h := &HeaderMatch{Name: "X-Class", Value: "secret"}
	p := New([]Rule{{Name: "a", Header: h}, {Name: "b", Recipient: "nobody@*"}, {Name: "c", Header: h}, {Name: "d"}, {Name: "e"}})
	var names []string
	for _, r := range p.Candidates(Request{Recipient: addr(t, "anna@example.org")}) {
		names = append(names, r.Name)
	}
	if got := strings.Join(names, ""); got != "acd" {
		t.Errorf("candidates %s", got)
	}
}

type header map[string][]string

func (h header) Values(name string) []string { return h[name] }

func TestMatchesHeader(t *testing.T) {
	r := Rule{Header: &HeaderMatch{Name: "X-Class", Value: "sec*"}}
	for value, want := range map[string]bool{"Secret": true, " second ": true, "open": false, "": false} {
		if got := r.MatchesHeader(header{"X-Class": {"other", value}}); got != want {
			t.Errorf("%q: %v", value, got)
		}
	}
	if r.MatchesHeader(header{}) {
		t.Error("a field that is not there matches")
	}
}

// The heart of rule 1: which words of a rule let a message leave unsealed, and
// that a lookup which failed is none of them.
func TestClearance(t *testing.T) {
	for _, c := range []struct {
		rule          Rule
		noCertificate bool
		want          bool
	}{
		{Rule{}, false, false},
		{Rule{}, true, false},
		{Rule{NoKey: Plaintext}, false, false},
		{Rule{NoKey: Plaintext}, true, true},
		{Rule{Encrypt: Never}, false, true},
		{Rule{Encrypt: Never, Name: "x"}, true, true},
	} {
		clearance, ok := c.rule.Clear(c.noCertificate)
		if ok != c.want || (clearance.Rule() != "") != c.want {
			t.Errorf("%+v, none=%v: %v %q", c.rule, c.noCertificate, ok, clearance.Rule())
		}
	}
}

func TestProvisions(t *testing.T) {
	p := New([]Rule{
		{Name: "one", Recipient: "*@example.org", Sender: "*@bank.example", NoKey: Provision},
		{Name: "other domain", Recipient: "*@example.net", NoKey: Provision},
		{Name: "clear", Recipient: "*@example.org", Listener: "x", NoKey: Provision, Encrypt: Never},
		{Name: "two", NoKey: Provision},
		{Name: "unreachable", NoKey: Provision},
	})
	if got := strings.Join(p.Provisions(addr(t, "anna@example.org")), " "); got != "one two" {
		t.Errorf("%s", got)
	}
	if got := New([]Rule{{Name: "a"}}).Provisions(addr(t, "anna@example.org")); got != nil {
		t.Errorf("%v", got)
	}
}

// Glob is compared with the regular expression that says the same.
func FuzzGlob(f *testing.F) {
	f.Add("*@*.example", "anna@mail.example")
	f.Add("a?c**", "abc")
	f.Add("*a*a*a*b", strings.Repeat("a", 100))
	f.Fuzz(func(t *testing.T, pattern, s string) {
		if len(pattern) > 60 || len(s) > 200 {
			return
		}
		var re strings.Builder
		re.WriteString(`(?s)\A`)
		for i := range len(pattern) {
			switch c := pattern[i]; {
			case c == '*':
				re.WriteString(`.*`)
			case c == '?':
				re.WriteString(`.`)
			case c >= 0x80:
				return // regexp counts runes, Glob bytes
			default:
				re.WriteString(regexp.QuoteMeta(string(rune(c))))
			}
		}
		for i := range len(s) {
			if s[i] >= 0x80 {
				return
			}
		}
		if got, want := Glob(pattern, s), regexp.MustCompile(re.String()+`\z`).MatchString(s); got != want {
			t.Errorf("Glob(%q, %q) = %v", pattern, s, got)
		}
	})
}
