package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"sealpost/directory/api"
	"sealpost/directory/harvest"
	"sealpost/directory/store"
	"sealpost/internal/reason"
	"sealpost/internal/testkit"
	"sealpost/lookup/keydb"
)

// Strangers have an allowance for each network; who has a token has none to
// lose; and who guesses tokens loses his faster.
func TestRateLimit(t *testing.T) {
	var now atomic.Int64
	now.Store(time.Now().UnixNano())
	d := newDirectory(t, func(_ *directory, o *api.Options) {
		o.Limits = api.Limits{PerSecond: 1, Burst: 20}
		o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
		o.Clock = func() time.Time { return time.Unix(0, now.Load()) }
	})
	from := func(client string) string { return "X-Forwarded-For: " + client }
	for range 20 {
		d.call(t, annaPath, from("192.0.2.1"), "").expect(t, 200, "")
	}
	a := d.call(t, annaPath, from("192.0.2.1"), "").expect(t, 429, reason.RateLimited)
	if a.Header.Get("Retry-After") != "1" {
		t.Errorf("Retry-After %q", a.Header.Get("Retry-After"))
	}
	d.call(t, annaPath, from("192.0.2.1")+"\n"+d.with(store.ScopeRead), "").expect(t, 200, "")
	d.call(t, annaPath, from("192.0.2.1")+"\n"+d.with(store.ScopeFeed), "").expect(t, 429, reason.RateLimited)
	d.call(t, annaPath, from("192.0.2.2"), "").expect(t, 200, "")
	d.call(t, annaPath, from("192.0.2.1, 203.0.113.1"), "").expect(t, 200, "") // what a client says of itself is not believed
	for range 20 {
		d.call(t, annaPath, from("2001:db8::1"), "").expect(t, 200, "")
	}
	d.call(t, annaPath, from("2001:db8::ffff"), "").expect(t, 429, reason.RateLimited) // one /64
	d.call(t, annaPath, from("2001:db8:0:1::1"), "").expect(t, 200, "")
	for range 2 {
		d.call(t, annaPath, from("192.0.2.9")+"\nAuthorization: Bearer guess", "").expect(t, 401, reason.TokenRequired)
	}
	d.call(t, annaPath, from("192.0.2.9")+"\nAuthorization: Bearer guess", "").expect(t, 429, reason.RateLimited)
	now.Add(int64(time.Second))
	d.call(t, annaPath, from("192.0.2.1"), "").expect(t, 200, "")
	d.call(t, annaPath, from("192.0.2.1"), "").expect(t, 429, reason.RateLimited)
}

// counting counts what is read of the store.
type counting struct {
	api.Store
	reads atomic.Int64
}

func (c *counting) Lookup(ctx context.Context, keys []string) ([][]store.Certificate, error) {
	c.reads.Add(1)
	return c.Store.Lookup(ctx, keys)
}

// An index that has what the test says.
type index struct {
	certs   map[string][]keydb.Certificate
	current atomic.Bool
	gets    atomic.Int64
	seq     atomic.Uint64
}

func (i *index) Get(key string) ([]keydb.Certificate, bool, error) {
	i.gets.Add(1)
	c, ok := i.certs[key]
	return append([]keydb.Certificate(nil), c...), ok, nil
}
func (i *index) Current() bool    { return i.current.Load() }
func (i *index) Sequence() uint64 { return i.seq.Load() }

// Known, unknown, revoked and expired addresses cost the same reads of the same
// things, and those that may not be used are answered as those that never were.
func TestAddressesCannotBeTriedOut(t *testing.T) {
	idx := &index{certs: map[string][]keydb.Certificate{}}
	var reads *counting
	d := newDirectory(t, func(d *directory, o *api.Options) {
		reads = &counting{Store: o.Store}
		o.Store = reads
		o.Finder = api.NewFinder(idx, reads, nil)
	})
	revoked := d.enter(t, testkit.Leaf{Addresses: []string{"revoked@example.org"}})
	if err := d.store.SetStatus(t.Context(), parse(t, revoked.Cert.Raw).Fingerprint(), store.StatusRevoked, "test"); err != nil {
		t.Fatal(err)
	}
	d.enter(t, testkit.Leaf{Addresses: []string{"expired@example.org"}, NotAfter: time.Now().Add(-time.Minute)})
	anna := keydb.NewCertificate(parse(t, d.anna.Cert.Raw))
	old := anna
	old.NotAfter = time.Now().Add(-time.Second)
	idx.certs["anna@example.org"], idx.certs["expired@example.org"] = []keydb.Certificate{anna}, []keydb.Certificate{old}
	for _, current := range []bool{true, false} {
		idx.current.Store(current)
		var shape string
		for _, who := range []string{"anna", "nobody", "revoked", "expired"} {
			gets, before := idx.gets.Load(), reads.reads.Load()
			a := d.call(t, "GET /v1/certificates?email="+who+"@example.org", "", "")
			work := fmt.Sprintf("%d of the index, %d of the store", idx.gets.Load()-gets, reads.reads.Load()-before)
			want := map[bool]string{true: "1 of the index, 0 of the store", false: "0 of the index, 1 of the store"}[current]
			if work != want {
				t.Errorf("%s: %s, want %s", who, work, want)
			}
			if who == "anna" {
				a.expect(t, 200, "")
				continue
			}
			a.expect(t, 404, reason.NoCertificate)
			a.Header.Del("Date")
			header, err := json.Marshal(a.Header)
			if err != nil {
				t.Fatal(err)
			}
			if got := string(header) + string(a.body); shape == "" {
				shape = got
			} else if got != shape {
				t.Errorf("%s is answered otherwise:\n%s\n%s", who, got, shape)
			}
		}
		known, unknown := d.call(t, annaPath, "", ""), d.call(t, "GET /v1/certificates?email=nobody@example.org", "", "")
		for _, name := range []string{"Cache-Control", "Vary", "X-Content-Type-Options"} {
			if known.Header.Get(name) == "" || known.Header.Get(name) != unknown.Header.Get(name) {
				t.Errorf("%s: %q and %q", name, known.Header.Get(name), unknown.Header.Get(name))
			}
		}
	}
}

// Who writes finds what he wrote: the answer waits for the index, but not for
// one that stands still.
func TestAWriterFindsWhatHeWrote(t *testing.T) {
	idx := &index{}
	d := newDirectory(t, func(_ *directory, o *api.Options) { o.Finder = api.NewFinder(idx, o.Store, nil) })
	carl := d.ca.For(t, "carl@example.org")
	answered := make(chan answer, 1)
	go func() {
		answered <- d.call(t, "POST /v1/certificates", d.with(store.ScopeWrite)+"\nContent-Type: application/pkix-cert", string(carl.Cert.Raw))
	}()
	testkit.Poll(t, "the write", func() bool {
		all, err := d.store.Lookup(t.Context(), []string{"carl@example.org"})
		return err == nil && len(all[0]) == 1
	})
	select {
	case <-answered:
		t.Fatal("the answer did not wait for the index")
	default:
	}
	idx.seq.Store(1 << 40)
	(<-answered).expect(t, 200, "")
}

// What goes wrong inside is told to the operator, never to strangers, and never
// that there is no certificate.
func TestTroubleWithTheDatabase(t *testing.T) {
	registry := prometheus.NewRegistry()
	d := newDirectory(t, func(_ *directory, o *api.Options) {
		o.Store = failing{o.Store, errors.New("secret-path: disk I/O error")}
		o.Metrics = registry
	})
	for _, c := range [][3]string{
		{annaPath}, {"POST /v1/certificates:batch", d.with(store.ScopeBatch) + "\nContent-Type: application/json", `{"addresses":["a@example.org"]}`},
		{"GET /v1/changes", d.with(store.ScopeFeed)},
	} {
		a := d.call(t, c[0], c[1], c[2]).expect(t, 503, reason.LookupUnavailable)
		if strings.Contains(string(a.body), "secret-path") || a.Header.Get("Retry-After") == "" || a.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %v %s", c[0], a.Header, a.body)
		}
	}
	if !strings.Contains(d.log.text(), "disk I/O error") {
		t.Error("the log does not say why")
	}
	if n, err := testutil.GatherAndCount(registry, "sealpost_directory_requests_total"); err != nil || n < 40 {
		t.Errorf("%d series from the start, %v", n, err)
	}
	want := "# HELP sealpost_directory_rate_limited_total Calls refused because their client asked too often.\n# TYPE sealpost_directory_rate_limited_total counter\nsealpost_directory_rate_limited_total 0\n"
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "sealpost_directory_rate_limited_total"); err != nil {
		t.Error(err)
	}
}

// A mistake in the code costs one answer, not the server.
func TestPanic(t *testing.T) {
	d := newDirectory(t, nil)
	d.call(t, "POST /v1/messages", "Content-Type: message/rfc822", "panic").expect(t, 500, reason.InternalError)
	if !strings.Contains(d.log.text(), "a mistake") {
		t.Error("the log does not have it")
	}
	d.call(t, annaPath, "", "").expect(t, 200, "")
}

// The access log has neither the client's address nor the one that was asked for.
func TestLogSaysNothingOfAddresses(t *testing.T) {
	d := newDirectory(t, nil)
	d.call(t, annaPath, "", "")
	d.call(t, "GET /v1/certificates?email=canary@example.org", "", "")
	d.call(t, "GET /v1/certificates?email=canary%25@example.org", "", "")
	d.call(t, "POST /v1/certificates:batch", d.with(store.ScopeBatch)+"\nContent-Type: application/json", `{"addresses":["canary@example.org"]}`).expect(t, 200, "")
	text := d.log.text()
	for _, secret := range []string{"canary", "anna@", "127.0.0.1", d.secret[store.ScopeBatch]} {
		if strings.Contains(text, secret) {
			t.Errorf("%q stands in the log:\n%s", secret, text)
		}
	}
	if n := strings.Count(text, `"directory call"`); n != 4 {
		t.Errorf("%d lines for 4 calls:\n%s", n, text)
	}
}

// More calls than are allowed at once are told so, and none waits.
func TestTooManyAtOnce(t *testing.T) {
	held := make(chan struct{})
	d := newDirectory(t, func(_ *directory, o *api.Options) {
		o.Limits = api.Limits{PerSecond: -1, Messages: 1}
		o.Harvester = slowHarvester{held}
	})
	first := make(chan answer, 1)
	go func() { first <- d.call(t, "POST /v1/messages", "Content-Type: message/rfc822", "1") }()
	<-held
	d.call(t, "POST /v1/messages", "Content-Type: message/rfc822", "2").expect(t, 503, reason.ServerBusy)
	held <- struct{}{}
	(<-first).expect(t, 422, reason.MessageNotSigned)
}

type slowHarvester struct{ held chan struct{} }

func (s slowHarvester) Read(context.Context, io.Reader) (harvest.Learned, error) {
	s.held <- struct{}{}
	<-s.held
	return harvest.Learned{}, &harvest.Refusal{Reason: reason.MessageNotSigned, Why: "no"}
}
