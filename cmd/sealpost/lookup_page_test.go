package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"sealpost/config"
	"sealpost/internal/address"
	"sealpost/internal/certificate"
	"sealpost/internal/reason"
	"sealpost/internal/testkit"
	"sealpost/lookup"
	"sealpost/lookup/revocation"
	"sealpost/relay"
)

// A fixedSource answers always the same.
type fixedSource struct{ answer lookup.Answer }

func (s fixedSource) Lookup(context.Context, address.Address) lookup.Answer { return s.answer }

// notWithdrawn knows of every chain that it is good.
type notWithdrawn struct{}

func (notWithdrawn) Check(context.Context, []*x509.Certificate) revocation.Verdict {
	return revocation.Verdict{Status: revocation.Good, Where: "http://crl.trust.example/mail.crl", Until: shownNow.Add(30 * time.Hour)}
}

// shownPeople are the certificates of docs/lookup.md and docs/keys.md: one that
// is about to expire, the one before it, and one that no authority has signed.
type shownPeople struct {
	root, issuing             *testkit.CA
	anna, before, other, next *certificate.Certificate
}

func newShownPeople(t *testing.T) shownPeople {
	t.Helper()
	authority := func(name string, years int) func(*x509.Certificate) {
		return func(c *x509.Certificate) {
			c.Subject = pkix.Name{CommonName: name, Organization: []string{"Example Trust"}}
			c.NotBefore, c.NotAfter = shownNow.AddDate(-years, 0, 0), shownNow.AddDate(years, 0, 0)
		}
	}
	p := shownPeople{root: testkit.NewCA(t).Intermediate(t, authority("Example Root", 10))}
	p.issuing = p.root.Intermediate(t, authority("Example Mail CA", 5))
	leaf := func(ca *testkit.CA, key string, from, to time.Time) *certificate.Certificate {
		id := ca.Issue(t, testkit.Leaf{Addresses: []string{"anna@example.org"}, Key: key, NotBefore: from, NotAfter: to, Change: func(c *x509.Certificate) {
			c.Subject = pkix.Name{CommonName: "Anna Example", Organization: []string{"Example AG"}}
		}})
		c, err := certificate.Parse(id.Cert.Raw)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	p.anna = leaf(p.issuing, "rsa2048", shownNow.AddDate(-1, 0, 12), shownNow.AddDate(0, 0, 12))
	p.before = leaf(p.issuing, "rsa2048", shownNow.AddDate(-2, 0, 9), shownNow.AddDate(-1, 0, 9))
	p.other = leaf(p.root.Intermediate(t, authority("Unheard-of CA", 3)), "p256", shownNow.AddDate(0, -1, 0), shownNow.AddDate(1, -1, 0))
	p.next = leaf(p.issuing, "rsa3072", shownNow.AddDate(0, 0, -3), shownNow.AddDate(2, 0, -3))
	return p
}

// shownReport is made of a whole lookup at a fixed time; how long things took,
// serial numbers and fingerprints are exchanged for ones that stay.
func shownReport(t *testing.T) lookupReport {
	t.Helper()
	p := newShownPeople(t)
	issuing, err := certificate.Parse(p.issuing.Cert.Raw)
	if err != nil {
		t.Fatal(err)
	}
	found := lookup.Answer{Outcome: lookup.Found}
	for _, c := range []*certificate.Certificate{p.anna, p.before, p.other, issuing} {
		found.Candidates = append(found.Candidates, lookup.Candidate{Cert: c, Where: "ldaps://ldap.example.org, uid=anna,ou=people,dc=example,dc=org"})
	}
	trust := lookup.TrustOptions{Roots: []*x509.Certificate{p.root.Cert}, Revoker: notWithdrawn{}, Clock: func() time.Time { return shownNow }}
	var links []lookup.Link
	answers := map[string]lookup.Answer{
		"pinned": {Outcome: lookup.None, Reason: reason.NoCertificate}, "corp": found,
		"keys": {Reason: reason.LookupUnavailable, Err: errors.New("https://keys.example.net/v1/certificates: 503 Service Unavailable")},
	}
	cfg := &config.Config{SMIME: config.SMIME{Content: "auto", RSA: "pkcs1", KDF: "sha1", MaxCertificates: 4}}
	for _, s := range []config.Source{{Name: "pinned", Type: "files", Trust: "source"}, {Name: "corp", Type: "ldap", Trust: "pki"}, {Name: "keys", Type: "http", Trust: "pki"}} {
		judged, err := lookup.NewTrusted(fixedSource{answers[s.Name]}, trust)
		if err != nil {
			t.Fatal(err)
		}
		links = append(links, lookup.Link{Name: s.Name, Source: judged})
		cfg.Lookup.Sources = append(cfg.Lookup.Sources, s)
	}
	chain, err := lookup.NewChain(lookup.ChainOptions{All: true}, links...)
	if err != nil {
		t.Fatal(err)
	}
	d, err := newDecider(cfg)
	if err != nil {
		t.Fatal(err)
	}
	anna, err := address.Parse("anna@example.org")
	if err != nil {
		t.Fatal(err)
	}
	answer := chain.Lookup(t.Context(), anna)
	r := &rooms{cfg: cfg, settings: &relay.Settings{Decider: d}}
	report := r.report(anna, answer, shownNow)
	answer.At = shownNow.Add(-12 * time.Minute)
	report.Server.Running = true
	report.Remembered = []rememberedReport{{
		Address: "anna@example.org",
		Cache: newCacheReport(lookup.Remembered{
			Answer: answer, Fresh: true, Until: shownNow.Add(48 * time.Minute), StaleUntil: shownNow.Add(24*time.Hour + 48*time.Minute),
		}, true, shownNow, 4),
	}}
	steady(&report)
	return report
}

// fake is a fingerprint that is always the same for a name.
func fake(name string) lookup.Fingerprint { return sha256.Sum256([]byte(name)) }

// steady exchanges what is another at each run.
func steady(r *lookupReport) {
	r.Seconds = 0.812
	for i, took := range []float64{0.0004, 0.0123, 0.8114} {
		r.Sources[i].Seconds = took
	}
	of := map[string]string{}
	for i := range r.Certificates {
		c := &r.Certificates[i]
		name := fmt.Sprint("certificate ", i+1)
		of[c.SHA256.String()] = fake(name).String()
		c.SHA256, c.KeySHA256, c.Serial = fake(name), fake("key of "+name), fake("serial of " + name).String()[:16]
	}
	for _, m := range r.Remembered {
		for i, f := range m.Cache.Used {
			m.Cache.Used[i] = of[f]
		}
	}
}

// printed is a report on paper of that width.
func printed(width int, colour bool, print func(*paper)) string {
	var b bytes.Buffer
	p := &paper{out: bufio.NewWriter(&b), width: width, colour: colour}
	print(p)
	_ = p.end() // into memory
	return b.String()
}

// docs/lookup.md and docs/keys.md show what is printed; -update writes it there.
func TestLookupPageShowsWhatIsPrinted(t *testing.T) {
	report := shownReport(t)
	shows(t, "lookup.md", "lookup", printed(100, false, report.print))
	text, err := json.MarshalIndent(report, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	shows(t, "lookup.md", "json", string(text))

	p := newShownPeople(t)
	known := lookup.KnownKeys{
		Accepted: []lookup.KnownKey{{Key: lookup.KeyFingerprint(p.anna), DER: p.anna.Raw, Since: shownNow.AddDate(0, -7, 3), Source: "corp"}},
		Held:     []lookup.KnownKey{{Key: lookup.KeyFingerprint(p.next), DER: p.next.Raw, Since: shownNow.AddDate(0, 0, -2), Source: "corp"}},
	}
	keys := newMailboxKeys("anna@example.org", known, nil)
	for name, k := range map[string]*keyReport{"in use": &keys.Accepted[0], "waits": &keys.Held[0]} {
		k.SHA256, k.KeySHA256, k.Serial = fake("certificate "+name), fake("key "+name), fake("serial " + name).String()[:16]
	}
	shows(t, "keys.md", "list", printed(0, false, keys.printShort))
	shows(t, "keys.md", "show", printed(100, false, func(p *paper) { keys.print(p, shownNow) }))
}

// docs/lookup.md has a line for each member of the JSON, and for no other.
func TestLookupPageNamesEveryMember(t *testing.T) {
	page := read(t, testkit.ModuleRoot(t)+"/docs/lookup.md")
	var shown, want []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`-][^`]*)` \\|").FindAllStringSubmatch(page, -1) {
		shown = append(shown, m[1])
	}
	var walk func(prefix string, of reflect.Type)
	walk = func(prefix string, of reflect.Type) {
		for of.Kind() == reflect.Pointer || of.Kind() == reflect.Slice {
			if of.Kind() == reflect.Slice {
				prefix += "[]"
			}
			of = of.Elem()
		}
		if prefix != "" {
			want = append(want, prefix)
		}
		if of.Kind() != reflect.Struct || of == reflect.TypeFor[time.Time]() {
			return
		}
		for f := range of.Fields() {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			walk(strings.TrimPrefix(prefix+"."+name, "."), f.Type)
		}
	}
	walk("", reflect.TypeFor[lookupReport]())
	for _, name := range want {
		if !slices.Contains(shown, name) {
			t.Errorf("docs/lookup.md has no line for %s", name)
		}
	}
	for _, name := range shown {
		if !slices.Contains(want, name) {
			t.Errorf("docs/lookup.md has a line for %s, which is no member", name)
		}
	}
}
