package ldap_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	goldap "github.com/go-ldap/ldap/v3"

	"sealpost/internal/testkit"
	"sealpost/lookup/ldap"
)

// With two servers, the second answers while the first is away or says
// nothing, and the first again when it is back.
func TestSlapdFailover(t *testing.T) {
	ca := testkit.NewCA(t)
	first, second := testkit.StartSlapd(t, testkit.SlapdOptions{}), testkit.StartSlapd(t, testkit.SlapdOptions{})
	a, b := ca.For(t, anna).Cert, ca.For(t, anna).Cert
	first.Person(t, "anna", anna, a)
	second.Person(t, "anna", anna, b)
	urls := []string{first.URL, second.URL}
	quick := client(t, ldap.Options{URLs: urls, Pause: time.Millisecond})
	patient := client(t, ldap.Options{URLs: urls, Pause: time.Hour})
	want := func(what string, c *ldap.Client, cert []byte) {
		t.Helper()
		entries, err := c.Search(context.Background(), parse(t, anna))
		wantValues(t, what, entries, err, cert)
	}
	want("both are there", quick, a.Raw)
	want("both are there", patient, a.Raw)

	first.Stop(t)
	want("the first is away", quick, b.Raw)
	want("the first is away", patient, b.Raw)
	first.Start(t)
	want("the first is back", quick, a.Raw)
	want("the first still rests", patient, b.Raw)

	first.Pause(t)
	hasty := client(t, ldap.Options{URLs: urls, Timeout: 2 * time.Second})
	want("the first says nothing", hasty, b.Raw)
	first.Resume(t)

	second.Stop(t)
	want("the second is away while the first rests", patient, a.Raw)
	first.Stop(t)
	if entries, err := patient.Search(context.Background(), parse(t, anna)); err == nil {
		t.Errorf("both are away: %v", entries)
	}
	first.Start(t)
	want("all rest, and one is back", patient, a.Raw)
}

// A restart of the server is no outage, although the connections in the pool
// are dead.
func TestSlapdRestart(t *testing.T) {
	s := testkit.StartSlapd(t, testkit.SlapdOptions{})
	cert := testkit.NewCA(t).For(t, anna).Cert
	s.Person(t, "anna", anna, cert)
	c := client(t, ldap.Options{URLs: []string{s.URL}, Connections: 4})
	for round := range 3 {
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				entries, err := c.Search(context.Background(), parse(t, anna))
				wantValues(t, fmt.Sprint("round ", round), entries, err, cert.Raw)
			})
		}
		all.Wait()
		s.Stop(t)
		s.Start(t)
	}
}

// A server that takes connections and says nothing costs the timeout and no
// more, and a lookup that is called off ends at once.
func TestSlapdPaused(t *testing.T) {
	s := testkit.StartSlapd(t, testkit.SlapdOptions{})
	c := client(t, ldap.Options{URLs: []string{s.URL}, Timeout: 500 * time.Millisecond})
	if _, err := c.Search(context.Background(), parse(t, anna)); err != nil {
		t.Fatal(err)
	}
	long := client(t, ldap.Options{URLs: []string{s.URL}, Timeout: time.Hour})
	s.Pause(t)
	defer s.Resume(t)
	start := time.Now()
	if _, err := c.Search(context.Background(), parse(t, anna)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("paused: %v", err)
	}
	if took := time.Since(start); took > testkit.Patience {
		t.Errorf("took %v", took)
	}
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(50*time.Millisecond, cancel)
	if _, err := long.Search(ctx, parse(t, anna)); !errors.Is(err, context.Canceled) {
		t.Errorf("called off: %v", err)
	}
}

// A wrong password is tried once and then left alone for a while, however many
// ask: directories lock accounts. The other server does the work.
func TestSlapdWrongPasswordIsNotRepeated(t *testing.T) {
	s := testkit.StartSlapd(t, testkit.SlapdOptions{})
	var tried atomic.Int64
	wrong := func() (string, error) { tried.Add(1); return "wrong", nil }
	c := client(t, ldap.Options{URLs: []string{s.URL}, Bind: ldap.Simple, BindDN: testkit.SlapdReader, Password: wrong, Connections: 16})
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			_, err := c.Search(context.Background(), parse(t, anna))
			if !errors.Is(err, ldap.ErrLogin) || !resultIs(goldap.LDAPResultInvalidCredentials)(err) {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if tried.Load() != 1 {
		t.Errorf("tried %d times", tried.Load())
	}
	missing := errors.New("the file is gone")
	if _, err := ask(t, ldap.Options{URLs: []string{s.URL}, Bind: ldap.Simple, BindDN: testkit.SlapdReader,
		Password: func() (string, error) { return "", missing }}, anna); !errors.Is(err, missing) {
		t.Errorf("no password: %v", err)
	}
	if _, err := ask(t, ldap.Options{URLs: []string{s.URL}, Bind: ldap.Simple, BindDN: testkit.SlapdReader, Password: secret("")}, anna); err == nil {
		t.Error("an empty password logs in as nobody (RFC 4513 section 5.1.2), and was taken")
	}
}

// A thousand lookups share the few connections that are allowed, and leave
// them open for the next; what waits too long is closed.
func TestSlapdConnectionsAreFewAndShared(t *testing.T) {
	s := testkit.StartSlapd(t, testkit.SlapdOptions{})
	cert := testkit.NewCA(t).For(t, anna).Cert
	s.Person(t, "anna", anna, cert)
	counter := newCounter(t, s.URL[len("ldap://"):])
	c := client(t, ldap.Options{URLs: []string{"ldap://" + counter.addr}, Connections: 4})
	var all sync.WaitGroup
	for range 1000 {
		all.Go(func() {
			entries, err := c.Search(context.Background(), parse(t, anna))
			wantValues(t, "one of many", entries, err, cert.Raw)
		})
	}
	all.Wait()
	if n := counter.opened.Load(); n > 4 {
		t.Errorf("%d connections", n)
	}
	c.Close()
	testkit.Poll(t, "all connections to close", func() bool { return counter.open.Load() == 0 })

	brief := client(t, ldap.Options{URLs: []string{"ldap://" + counter.addr}, IdleTimeout: time.Millisecond})
	if _, err := brief.Search(context.Background(), parse(t, anna)); err != nil {
		t.Fatal(err)
	}
	testkit.Poll(t, "the idle connection to close", func() bool { return counter.open.Load() == 0 })

	full := client(t, ldap.Options{URLs: []string{s.URL}, Connections: 1, Timeout: time.Second})
	s.Pause(t)
	defer s.Resume(t)
	var late atomic.Int64
	for range 3 {
		all.Go(func() {
			if _, err := full.Search(context.Background(), parse(t, anna)); errors.Is(err, context.DeadlineExceeded) {
				late.Add(1)
			}
		})
	}
	all.Wait()
	if late.Load() != 3 {
		t.Errorf("%d of 3 gave up in time", late.Load())
	}
}

// A counter passes connections on and counts them.
type counter struct {
	addr         string
	opened, open atomic.Int64
}

func newCounter(t testing.TB, to string) *counter {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &counter{addr: l.Addr().String()}
	var all sync.WaitGroup
	t.Cleanup(func() { l.Close(); all.Wait() })
	all.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			c.opened.Add(1)
			c.open.Add(1)
			all.Go(func() { c.pass(in, to) })
		}
	})
	return c
}

func (c *counter) pass(in net.Conn, to string) {
	defer c.open.Add(-1)
	defer in.Close()
	out, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	var back sync.WaitGroup
	back.Go(func() { _, _ = io.Copy(in, out) })
	_, _ = io.Copy(out, in)
	out.Close()
	back.Wait()
}
