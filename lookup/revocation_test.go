package lookup_test

import (
	"context"
	"crypto/x509"
	"log/slog"
	"math/big"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sealpost/internal/address"
	"sealpost/internal/certificate"
	"sealpost/internal/reason"
	"sealpost/internal/testkit"
	"sealpost/lookup"
	"sealpost/lookup/outbound"
	"sealpost/lookup/revocation"
)

// newRevoker makes a Checker that may reach this machine.
func newRevoker(t *testing.T, opts revocation.Options) *revocation.Checker {
	t.Helper()
	opts.Client = outbound.New(outbound.Options{Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Timeout: testkit.Patience})
	t.Cleanup(opts.Client.Close)
	opts.Wait, opts.Log = testkit.Patience, slog.New(slog.DiscardHandler)
	c, err := revocation.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func withdraw(t *testing.T, a *testkit.Authority, cert *certificate.Certificate) {
	t.Helper()
	c, err := cert.X509()
	if err != nil {
		t.Fatal(err)
	}
	a.Withdraw(c, 1)
}

// What is known, and what is not, under soft and hard.
func TestTrustedAsksAuthorities(t *testing.T) {
	a := testkit.NewAuthority(t)
	person := testkit.Leaf{Addresses: []string{anna}, Key: "p256", Change: a.Points("crl", "ocsp")}
	good, bad := issue(t, a.CA, person), issue(t, a.CA, person)
	withdraw(t, a, bad)
	judge := func(cert *certificate.Certificate, r lookup.Revoker, hard bool) lookup.Answer {
		opts := lookup.TrustOptions{Roots: []*x509.Certificate{a.Cert}, Revoker: r, Hard: hard}
		return trusted(t, always(found(cert)), opts).Lookup(context.Background(), parse(t, anna))
	}
	want := func(what string, got lookup.Answer, outcome lookup.Outcome, why reason.Token) {
		t.Helper()
		c := got.Candidates[0]
		if got.Outcome != outcome || c.Reason != why || c.Usable != (why == reason.None) {
			t.Errorf("%s: %v, usable %v, %q (%s)", what, got.Outcome, c.Usable, c.Reason, c.Why)
		}
	}
	up := newRevoker(t, revocation.Options{})
	for _, hard := range []bool{false, true} {
		want("good", judge(good, up, hard), lookup.Found, reason.None)
		want("revoked", judge(bad, up, hard), lookup.None, reason.CertificateRevoked)
	}
	a.Stop()
	want("stopped, soft", judge(good, newRevoker(t, revocation.Options{}), false), lookup.Found, reason.None)
	want("stopped, hard", judge(good, newRevoker(t, revocation.Options{}), true), lookup.Unavailable, reason.RevocationUnknown)
	want("stopped, hard, asked before", judge(good, up, true), lookup.Found, reason.None)
}

// A recipient in the cache whose certificate is withdrawn is dropped from it,
// as soon as the list says so; nobody asks about him meanwhile.
func TestWithdrawnIsDroppedFromTheCache(t *testing.T) {
	a := testkit.NewAuthority(t)
	people := map[string]*certificate.Certificate{}
	for _, p := range []string{anna, "otto@example.org"} {
		people[p] = issue(t, a.CA, testkit.Leaf{Addresses: []string{p}, Key: "p256", Change: a.Points("crl")})
	}
	clock := newClock(time.Now())
	var cache atomic.Pointer[lookup.Cache]
	dropped := make(chan int, 10)
	r := newRevoker(t, revocation.Options{Clock: clock.now, Withdrawn: func(match func([]byte, *big.Int) bool) {
		dropped <- cache.Load().Drop(func(c lookup.Candidate) bool { return match(c.Cert.RawIssuer, c.Cert.Serial) })
	}})
	source := sourceFunc(func(_ context.Context, addr address.Address) lookup.Answer { return found(people[addr.String()]) })
	judged := trusted(t, source, lookup.TrustOptions{Roots: []*x509.Certificate{a.Cert}, Revoker: r})
	c, err := lookup.NewCache(judged, lookup.CacheOptions{Refreshers: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	cache.Store(c)
	ask := func(who string) lookup.Answer { return c.Lookup(context.Background(), parse(t, who)) }
	if got := ask(anna); got.Outcome != lookup.Found {
		t.Fatalf("before: %v", got.Outcome)
	}
	withdraw(t, a, people[anna])
	if got := ask(anna); got.Outcome != lookup.Found || a.Hits("/crl") != 1 {
		t.Errorf("in the cache: %v, %d fetches", got.Outcome, a.Hits("/crl"))
	}
	clock.advance(55 * time.Minute) // the list is due; whoever needs it has it fetched
	if got := ask("otto@example.org"); got.Outcome != lookup.Found {
		t.Errorf("somebody else: %v", got.Outcome)
	}
	if n := <-dropped; n != 1 {
		t.Errorf("%d dropped", n)
	}
	if got := ask(anna); got.Outcome != lookup.None || got.Candidates[0].Reason != reason.CertificateRevoked || !strings.Contains(got.Candidates[0].Why, "keyCompromise") {
		t.Errorf("after: %v, %+v", got.Outcome, got.Candidates)
	}
}
