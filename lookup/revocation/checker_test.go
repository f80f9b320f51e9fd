package revocation_test

import (
	"context"
	"crypto/x509"
	"log/slog"
	"math/big"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sealpost/internal/testkit"
	"sealpost/lookup/outbound"
	"sealpost/lookup/revocation"
)

const anna = "anna@example.org"

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

// checker makes a Checker that may reach this machine, and waits for what it
// asks.
func checker(t testing.TB, opts revocation.Options) *revocation.Checker {
	t.Helper()
	if opts.Client == nil {
		opts.Client = outbound.New(outbound.Options{Networks: loopback, Timeout: testkit.Patience})
		t.Cleanup(opts.Client.Close)
	}
	if opts.Wait == 0 {
		opts.Wait = testkit.Patience
	}
	opts.Log = slog.New(slog.DiscardHandler)
	c, err := revocation.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func leaf(t testing.TB, a *testkit.Authority, places ...string) *x509.Certificate {
	return a.Issue(t, testkit.Leaf{Addresses: []string{anna}, Key: "p256", Change: a.Points(places...)}).Cert
}

func ask(c *revocation.Checker, chain ...*x509.Certificate) revocation.Verdict {
	return c.Check(context.Background(), chain)
}

// want fails when a verdict has another status, or none of the words.
func want(t testing.TB, what string, v revocation.Verdict, status revocation.Status, words ...string) {
	t.Helper()
	if v.Status != status {
		t.Errorf("%s: %v (%s, %s), want %v", what, v.Status, v.Why, v.Where, status)
	}
	if (v.Status == revocation.Unknown) != v.Until.IsZero() || v.Status != revocation.Good && v.Why == "" || (v.Status == revocation.Revoked) == v.At.IsZero() {
		t.Errorf("%s: not a whole verdict: %+v", what, v)
	}
	for _, w := range words {
		if !strings.Contains(v.Why+v.Where, w) {
			t.Errorf("%s: no word of %q in %q, %q", what, w, v.Why, v.Where)
		}
	}
}

func TestGoodAndRevoked(t *testing.T) {
	a := testkit.NewAuthority(t)
	for _, places := range [][]string{{"crl"}, {"ocsp"}, {"crl", "ocsp"}} {
		name := strings.Join(places, " and ")
		good, bad := leaf(t, a, places...), leaf(t, a, places...)
		a.Withdraw(bad, 1)
		c := checker(t, revocation.Options{})
		want(t, name+", good", ask(c, good, a.Cert), revocation.Good, places[0])
		want(t, name+", revoked", ask(c, bad, a.Cert), revocation.Revoked, "keyCompromise", places[0])
	}
	if n := a.Hits("/ocsp"); n != 2 {
		t.Errorf("%d questions to the responder: lists come first", n)
	}
}

func TestChainOfAuthorities(t *testing.T) {
	root := testkit.NewAuthority(t)
	sub := root.Intermediate(t, root.Points("crl")).Authority(t)
	silent := root.Intermediate(t, nil).Authority(t)
	c := checker(t, revocation.Options{})
	l := leaf(t, sub, "crl")
	want(t, "good", ask(c, l, sub.Cert, root.Cert), revocation.Good)
	want(t, "the issuer says nothing", ask(c, leaf(t, silent, "crl"), silent.Cert, root.Cert), revocation.Unknown, "Intermediate", "names no list")
	want(t, "trusted itself", ask(c, l), revocation.Good)
	root.Withdraw(sub.Cert, 2)
	want(t, "the issuer is withdrawn", ask(checker(t, revocation.Options{}), l, sub.Cert, root.Cert), revocation.Revoked, "Intermediate", "cACompromise")
}

func TestNothingToAsk(t *testing.T) {
	a := testkit.NewAuthority(t)
	c := checker(t, revocation.Options{})
	want(t, "no pointer", ask(c, leaf(t, a), a.Cert), revocation.Unknown, "names no list")
	ldap := a.Issue(t, testkit.Leaf{Key: "p256", Change: func(c *x509.Certificate) {
		c.CRLDistributionPoints = []string{"ldap:///cn=crl?certificateRevocationList"}
		c.OCSPServer = []string{"ftp://example.org/"}
	}}).Cert
	want(t, "ldap and ftp", ask(c, ldap, a.Cert), revocation.Unknown)
	if n := c.Stats().Ignored; n != 2 {
		t.Errorf("%d ignored pointers", n)
	}
	short := a.Issue(t, testkit.Leaf{Key: "p256", Change: noRevocation}).Cert
	want(t, "noRevAvail", ask(c, short, a.Cert), revocation.Good, "9608")
	sub := a.Intermediate(t, noRevocation)
	want(t, "noRevAvail of an authority", ask(c, leaf(t, a, "crl"), sub.Cert, a.Cert), revocation.Unknown)
}

// Whoever is waited for in vain is not waited for again, and a list that is
// out of reach leaves the responder to be asked.
func TestOutOfReach(t *testing.T) {
	a := testkit.NewAuthority(t)
	l := leaf(t, a, "crl", "ocsp")
	a.Handle("/crl", nil)
	want(t, "no list, a responder", ask(checker(t, revocation.Options{}), l, a.Cert), revocation.Good, "/ocsp")
	release := make(chan struct{})
	defer close(release)
	a.Handle("/crl", func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	c := checker(t, revocation.Options{Wait: 10 * time.Millisecond})
	start := time.Now()
	want(t, "a slow list", ask(c, l, a.Cert), revocation.Unknown, "not fetched yet")
	if took := time.Since(start); took > testkit.Patience/2 {
		t.Errorf("waited %v", took)
	}
	off := checker(t, revocation.Options{Wait: -1})
	want(t, "without waiting", ask(off, l, a.Cert), revocation.Unknown)
	a.Stop()
	dead := checker(t, revocation.Options{})
	want(t, "nobody there", ask(dead, l, a.Cert), revocation.Unknown, "list", "responder")
	want(t, "nobody there, asked again", ask(dead, l, a.Cert), revocation.Unknown, "list")
	if s := dead.Stats(); s.ListFetches != 1 || s.ListFailures != 1 || s.AnswerFailures != 1 || s.Unknown != 2 {
		t.Errorf("%+v", s)
	}
}

// A hundred lookups at once are one fetch of a list.
func TestOneFlight(t *testing.T) {
	a := testkit.NewAuthority(t)
	c := checker(t, revocation.Options{})
	bad := leaf(t, a, "crl")
	a.Withdraw(bad, 0)
	var wg sync.WaitGroup
	for i := range 100 {
		l, status := bad, revocation.Revoked
		if i%2 == 0 {
			l, status = leaf(t, a, "crl"), revocation.Good
		}
		wg.Go(func() { want(t, "at once", ask(c, l, a.Cert), status) })
	}
	wg.Wait()
	if n := a.Hits("/crl"); n != 1 {
		t.Errorf("%d fetches", n)
	}
}

// movable is a clock that a test sets.
type movable struct{ ahead atomic.Int64 }

func (m *movable) now() time.Time       { return time.Now().Add(time.Duration(m.ahead.Load())) }
func (m *movable) pass(d time.Duration) { m.ahead.Add(int64(d)) }

// A certificate that was good, and is withdrawn later, is told of, ahead of
// the next update of the list; nobody has to ask.
func TestWithdrawnLater(t *testing.T) {
	for _, place := range []string{"crl", "ocsp"} {
		a := testkit.NewAuthority(t)
		var clock movable
		told := make(chan func([]byte, *big.Int) bool, 10)
		c := checker(t, revocation.Options{Clock: clock.now, Withdrawn: func(m func([]byte, *big.Int) bool) { told <- m }})
		l, other := leaf(t, a, place), leaf(t, a, place)
		want(t, place, ask(c, l, a.Cert), revocation.Good)
		a.Withdraw(l, 1)
		clock.pass(55 * time.Minute) // of the hour until the next update
		c.Tick()
		m := <-told
		if !m(l.RawIssuer, l.SerialNumber) || m(other.RawIssuer, other.SerialNumber) || m([]byte("other"), l.SerialNumber) {
			t.Errorf("%s: the wrong certificates are told of", place)
		}
		want(t, place, ask(c, l, a.Cert), revocation.Revoked)
		clock.pass(30 * time.Second)
		c.Tick()
		testkit.Poll(t, "the next fetch", func() bool { return a.Hits("/"+place) >= 2 })
		if len(told) != 0 {
			t.Errorf("%s: told twice", place)
		}
	}
}

// What an authority's own withdrawal touches is everything.
func TestAuthorityWithdrawnLater(t *testing.T) {
	root := testkit.NewAuthority(t)
	sub := root.Intermediate(t, root.Points("crl")).Authority(t)
	var clock movable
	told := make(chan func([]byte, *big.Int) bool, 10)
	c := checker(t, revocation.Options{Clock: clock.now, Withdrawn: func(m func([]byte, *big.Int) bool) { told <- m }})
	l := leaf(t, sub, "crl")
	want(t, "before", ask(c, l, sub.Cert, root.Cert), revocation.Good)
	root.Withdraw(sub.Cert, 1)
	clock.pass(55 * time.Minute)
	c.Tick()
	if m := <-told; !m(l.RawIssuer, l.SerialNumber) {
		t.Error("a certificate below the authority stays")
	}
}

// While a list is out of reach the last one counts, to its end and no longer.
func TestOutage(t *testing.T) {
	a := testkit.NewAuthority(t)
	var clock movable
	c := checker(t, revocation.Options{Clock: clock.now})
	l := leaf(t, a, "crl")
	want(t, "fetched", ask(c, l, a.Cert), revocation.Good)
	a.Handle("/crl", nil)
	clock.pass(58 * time.Minute)
	want(t, "out of reach", ask(c, l, a.Cert), revocation.Good)
	testkit.Poll(t, "a failed fetch", func() bool { return c.Stats().ListFailures == 1 })
	clock.pass(10 * time.Minute)
	want(t, "past its end", ask(c, l, a.Cert), revocation.Unknown, "404")
	testkit.Poll(t, "another failed fetch", func() bool { return c.Stats().ListFailures == 2 })
	a.Serve("/crl", a.List(t, testkit.List{From: clock.now(), To: clock.now().Add(time.Hour)}))
	clock.pass(2 * time.Minute)
	c.Tick()
	testkit.Poll(t, "the list", func() bool { return ask(c, l, a.Cert).Status == revocation.Good })
	clock.pass(72 * time.Hour)
	c.Tick()
	if s := c.Stats(); s.Lists != 0 || s.Memory != 0 {
		t.Errorf("nobody needs the list any more, and it is kept: %+v", s)
	}
}

func TestUnchangedList(t *testing.T) {
	a := testkit.NewAuthority(t)
	var clock movable
	list := a.List(t, testkit.List{})
	var unchanged atomic.Int64
	a.Handle("/crl", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"one"`)
		if r.Header.Get("If-None-Match") == `"one"` {
			unchanged.Add(1)
			w.WriteHeader(http.StatusNotModified)
			return
		}
		_, _ = w.Write(list)
	})
	c := checker(t, revocation.Options{Clock: clock.now})
	l := leaf(t, a, "crl")
	want(t, "fetched", ask(c, l, a.Cert), revocation.Good)
	clock.pass(55 * time.Minute)
	want(t, "kept", ask(c, l, a.Cert), revocation.Good)
	testkit.Poll(t, "the second question", func() bool { return unchanged.Load() == 1 && c.Stats().ListFetches == 2 })
	clock.pass(15 * time.Minute) // the list has ended: now the whole is asked for
	want(t, "ended", ask(c, l, a.Cert), revocation.Unknown)
	testkit.Poll(t, "the third question", func() bool { return c.Stats().ListFailures == 1 })
	if unchanged.Load() != 1 {
		t.Error("a list past its end was taken for unchanged")
	}
}

func TestListsSurviveARestart(t *testing.T) {
	a := testkit.NewAuthority(t)
	dir := filepath.Join(t.TempDir(), "lists")
	good, bad := leaf(t, a, "crl"), leaf(t, a, "crl")
	a.Withdraw(bad, 1)
	first := checker(t, revocation.Options{Dir: dir})
	want(t, "fetched", ask(first, good, a.Cert), revocation.Good)
	first.Close()
	files, _ := filepath.Glob(filepath.Join(dir, "*.crl"))
	if len(files) != 1 {
		t.Fatalf("files: %v", files)
	}
	a.Handle("/crl", nil)
	second := checker(t, revocation.Options{Dir: dir})
	want(t, "kept", ask(second, bad, a.Cert), revocation.Revoked)
	if s := second.Stats(); s.ListFetches != 0 {
		t.Errorf("fetched although it was kept: %+v", s)
	}
	for name, spoil := range map[string]func([]byte) []byte{
		"truncated": func(b []byte) []byte { return b[:len(b)/2] },
		"altered":   func(b []byte) []byte { b[len(b)-1] ^= 1; return b },
		"empty":     func([]byte) []byte { return nil },
	} {
		data, err := os.ReadFile(files[0])
		if err != nil {
			t.Fatal(err)
		}
		damaged := spoil(append([]byte(nil), data...))
		if err := os.WriteFile(files[0], damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		want(t, name, ask(checker(t, revocation.Options{Dir: dir}), bad, a.Cert), revocation.Unknown, "404")
		if err := os.WriteFile(files[0], data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	old := time.Now().Add(-100 * 24 * time.Hour)
	if err := os.Chtimes(files[0], old, old); err != nil {
		t.Fatal(err)
	}
	checker(t, revocation.Options{Dir: dir})
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) != 0 {
		t.Errorf("old files stay: %v", left)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	client := outbound.New(outbound.Options{})
	if _, err := revocation.New(revocation.Options{Client: client, Dir: file}); err == nil {
		t.Error("a file is no folder")
	}
}

// Lists have a bound together: the one needed least recently goes.
func TestMemoryIsBounded(t *testing.T) {
	a, b := testkit.NewAuthority(t), testkit.NewAuthority(t)
	many := func(a *testkit.Authority) {
		var l testkit.List
		for i := range 1000 {
			l.Revoked = append(l.Revoked, testkit.Withdrawn{Serial: big.NewInt(int64(i + 1))})
		}
		a.Serve("/crl", a.List(t, l))
	}
	many(a)
	many(b)
	c := checker(t, revocation.Options{Memory: 20000})
	la, lb := leaf(t, a, "crl"), leaf(t, b, "crl")
	want(t, "the first", ask(c, la, a.Cert), revocation.Good)
	want(t, "the second", ask(c, lb, b.Cert), revocation.Good)
	if s := c.Stats(); s.Lists != 1 || s.Memory > 20000 || s.Memory < 5000 {
		t.Errorf("%+v", s)
	}
	want(t, "the first again", ask(c, la, a.Cert), revocation.Good)
	want(t, "too large for all", ask(checker(t, revocation.Options{Memory: 5000}), la, a.Cert), revocation.Unknown, "memory")
	want(t, "too large", ask(checker(t, revocation.Options{MaxList: 5000}), la, a.Cert), revocation.Unknown, "larger")
}

func TestNewNeedsAClient(t *testing.T) {
	if _, err := revocation.New(revocation.Options{}); err == nil {
		t.Error("no client")
	}
}
