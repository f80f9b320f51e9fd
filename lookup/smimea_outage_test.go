package lookup_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"sync"
	"testing"
	"time"

	"sealpost/internal/testkit"
	"sealpost/lookup"
	"sealpost/lookup/smimea"
)

// expect looks one address up and gives the answer.
func expect(t testing.TB, what string, s lookup.Source, addr string, want lookup.Outcome) lookup.Answer {
	t.Helper()
	a := s.Lookup(context.Background(), parse(t, addr))
	if a.Outcome != want || (a.Err == nil) == (want == lookup.Unavailable) {
		t.Errorf("%s: %s: %v, %v", what, addr, a.Outcome, a.Err)
	}
	return a
}

// A resolver that does not validate is no authority, neither for what is there
// nor for what is not, signed or unsigned.
func TestSMIMEAWantsAValidatingResolver(t *testing.T) {
	w := testkit.StartDNS(t, testkit.DNSOptions{NoAnchor: true, Zones: []testkit.Zone{
		{Name: "signed.example", Records: []string{smimeaRecord("anna", "3 0 0", []byte("x"))}},
		{Name: "unsigned.example", Unsigned: true},
	}})
	for what, addr := range map[string]string{"no anchor": w.Resolver, "authoritative server": w.Server} {
		s, err := lookup.NewSMIMEA(lookup.SMIMEAOptions{Resolvers: []smimea.Resolver{{Address: addr}}})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		for _, who := range []string{"anna@signed.example", "nobody@signed.example", "nobody@unsigned.example", "nobody@missing.example"} {
			a := expect(t, what, s, who, lookup.Unavailable)
			if !errors.Is(a.Err, smimea.ErrNotValidating) || errors.Is(a.Err, smimea.ErrDomain) {
				t.Errorf("%s: %s: %v", what, who, a.Err)
			}
		}
	}
}

// By TCP and TLS as by UDP; a certificate that does not fit or that nobody
// knows makes the resolver a stranger.
func TestSMIMEATransports(t *testing.T) {
	w := newDNSWorld(t)
	roots := x509.NewCertPool()
	roots.AddCert(w.ca.Cert)
	over := func(config *tls.Config) []smimea.Resolver {
		return []smimea.Resolver{{Transport: smimea.TLS, Address: w.ResolverTLS, TLS: config}}
	}
	for what, test := range map[string]struct {
		resolvers []smimea.Resolver
		works     bool
	}{
		"UDP":               {[]smimea.Resolver{{Address: w.Resolver}}, true},
		"TCP":               {[]smimea.Resolver{{Transport: smimea.TCP, Address: w.Resolver}}, true},
		"TLS":               {over(&tls.Config{RootCAs: roots, ServerName: "resolver.example"}), true},
		"TLS, other name":   {over(&tls.Config{RootCAs: roots, ServerName: "other.example"}), false},
		"TLS, no name":      {over(&tls.Config{RootCAs: roots, ServerName: "192.0.2.1"}), false},
		"TLS, system roots": {over(nil), false},
		"TLS, unchecked":    {over(&tls.Config{InsecureSkipVerify: true, ServerName: "resolver.example"}), false},
		"TLS, not spoken":   {[]smimea.Resolver{{Transport: smimea.TLS, Address: w.Resolver, TLS: &tls.Config{RootCAs: roots}}}, false},
		"second of two":     {append(over(nil), smimea.Resolver{Address: w.Resolver}), true},
		"second is up":      {[]smimea.Resolver{{Address: testkit.FreeAddr(t)}, {Transport: smimea.TCP, Address: w.Resolver}}, true},
		"both are down":     {[]smimea.Resolver{{Address: testkit.FreeAddr(t)}, {Transport: smimea.TCP, Address: testkit.FreeAddr(t)}}, false},
		"not validating":    {[]smimea.Resolver{{Address: w.Server}, {Address: w.Resolver}}, true},
	} {
		patience := 500 * time.Millisecond
		if test.works {
			patience = testkit.Patience
		}
		s := w.source(t, lookup.SMIMEAOptions{Resolvers: test.resolvers, Timeout: patience})
		want := map[string]lookup.Outcome{
			"ten@signed.example": lookup.Found, "nobody@signed.example": lookup.None, "nobody@unsigned.example": lookup.None, "anna@bogus.example": lookup.Unavailable,
		}
		for who, outcome := range want {
			if !test.works {
				outcome = lookup.Unavailable
			}
			expect(t, what, s, who, outcome)
		}
	}
}

// Silence, of the resolver or of those it asks, is Unavailable in good time;
// whom to blame is told apart; and all is well again when it is over.
func TestSMIMEASilence(t *testing.T) {
	w := newDNSWorld(t)
	s := w.source(t, lookup.SMIMEAOptions{Timeout: 3 * time.Second})
	expect(t, "before", s, "nobody@unsigned.example", lookup.None) // the resolver knows the root now
	resume := w.PauseServer(t)
	start := time.Now()
	a := expect(t, "servers hang", s, "hung@signed.example", lookup.Unavailable)
	if took := time.Since(start); took > 10*time.Second || !errors.Is(a.Err, smimea.ErrDomain) {
		t.Errorf("servers hang: after %v: %v", took, a.Err)
	}
	resume()
	resume = w.PauseResolver(t)
	start = time.Now()
	a = expect(t, "resolver hangs", s, "anna@signed.example", lookup.Unavailable)
	if took := time.Since(start); took > 10*time.Second || errors.Is(a.Err, smimea.ErrDomain) {
		t.Errorf("resolver hangs: after %v: %v", took, a.Err)
	}
	resume()
	testkit.Poll(t, "the resolver to answer again", func() bool {
		return s.Lookup(context.Background(), parse(t, "anna@signed.example")).Outcome == lookup.Found
	})
	w.StopResolver(t)
	expect(t, "resolver is gone", s, "anna@signed.example", lookup.Unavailable)
}

// A resolver that hangs costs its share of the time once, and then stands
// behind the others.
func TestSMIMEAPutsASilentResolverLast(t *testing.T) {
	w := newDNSWorld(t)
	hung := testkit.StartDNS(t, testkit.DNSOptions{})
	resume := hung.PauseResolver(t)
	defer resume()
	var offset time.Duration
	var mu sync.Mutex
	clock := func() time.Time { mu.Lock(); defer mu.Unlock(); return time.Now().Add(offset) }
	s := w.source(t, lookup.SMIMEAOptions{Timeout: 6 * time.Second, Clock: clock, Resolvers: []smimea.Resolver{{Address: hung.Resolver}, {Address: w.Resolver}}})
	took := func() time.Duration {
		start := time.Now()
		expect(t, "one of two hangs", s, "anna@signed.example", lookup.Found)
		return time.Since(start)
	}
	if first := took(); first < 2*time.Second {
		t.Errorf("the first resolver was not waited for: %v", first)
	}
	if second := took(); second > 2*time.Second {
		t.Errorf("the silent resolver was waited for again: %v", second)
	}
	mu.Lock()
	offset = time.Minute
	mu.Unlock()
	if third := took(); third < 2*time.Second {
		t.Errorf("the silent resolver was not tried again: %v", third)
	}
}

func TestSMIMEAUnsignedUnavailable(t *testing.T) {
	w := newDNSWorld(t)
	s := w.source(t, lookup.SMIMEAOptions{UnsignedUnavailable: true})
	for _, who := range []string{"anna@unsigned.example", "nobody@unsigned.example", "anna@island.example", "nobody@optout.example"} {
		expect(t, "unsigned: unavailable", s, who, lookup.Unavailable)
	}
	expect(t, "unsigned: unavailable", s, "nobody@signed.example", lookup.None)
}

// A domain with broken DNSSEC does not make the chain take the resolver for
// broken.
func TestSMIMEABogusDomainIsNoOutage(t *testing.T) {
	w := newDNSWorld(t)
	s := w.source(t, lookup.SMIMEAOptions{})
	c := chain(t, lookup.ChainOptions{Failures: 2}, lookup.Link{Name: "dns", Source: trusted(t, s, lookup.TrustOptions{Vouch: lookup.Itself})})
	for _, who := range []string{"a@bogusdenial.example", "b@expired.example", "c@lame.example", "anna@bogus.example", "loop@signed.example", "crowd@signed.example"} {
		expect(t, "bogus", c, who, lookup.Unavailable)
	}
	expect(t, "after many bogus domains", c, "anna@signed.example", lookup.Found)
}

func TestNewSMIMEARefuses(t *testing.T) {
	for text, want := range map[string]error{
		"127.0.0.1:53": nil, "[::1]:53": nil, "localhost:53": nil, "tcp://127.0.0.9:53": nil, "tls://192.0.2.1:853": nil, "tls://dns.example:853": nil,
		"192.0.2.1:53": smimea.ErrUntrusted, "tcp://dns.example:53": smimea.ErrUntrusted, "[2001:db8::1]:53": smimea.ErrUntrusted,
		"127.0.0.1": smimea.ErrResolver, ":53": smimea.ErrResolver, "127.0.0.1:0": smimea.ErrResolver, "127.0.0.1:domain": smimea.ErrResolver,
		"udp://127.0.0.1:53": smimea.ErrResolver, "https://dns.example:443": smimea.ErrResolver, "": smimea.ErrResolver, "tls://": smimea.ErrResolver,
	} {
		r, err := smimea.ParseResolver(text)
		if err == nil {
			if r.String() != text {
				t.Errorf("%q is written %q", text, r)
			}
			_, err = lookup.NewSMIMEA(lookup.SMIMEAOptions{Resolvers: []smimea.Resolver{r}})
		}
		if !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", text, err, want)
		}
	}
	if _, err := lookup.NewSMIMEA(lookup.SMIMEAOptions{}); !errors.Is(err, smimea.ErrResolver) {
		t.Errorf("no resolver: %v", err)
	}
	trusted := []smimea.Resolver{{Address: "192.0.2.1:53", Trusted: true}}
	if _, err := lookup.NewSMIMEA(lookup.SMIMEAOptions{Resolvers: trusted}); err != nil {
		t.Errorf("trusted by name: %v", err)
	}
}
