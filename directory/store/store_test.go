package store_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"sealpost/directory/store"
	"sealpost/internal/certificate"
	"sealpost/internal/testkit"
)

// postgres is the server of all tests that do not stop it.
var postgres testkit.SharedPostgres

func TestMain(m *testing.M) {
	if url := os.Getenv(writerURL); url != "" {
		fmt.Fprintln(os.Stderr, writeUntilKilled(url))
		os.Exit(1)
	}
	code := m.Run()
	if err := postgres.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// A world is one kind of database, the clock of its stores, and who issues
// certificates in it.
type world struct {
	url string
	now time.Time
	ca  *testkit.CA
}

// A kind is one of the databases, and how to get an empty one.
type kind struct {
	name string
	url  func(testing.TB) string
}

var kinds = []kind{
	{"sqlite", func(t testing.TB) string { return "sqlite:" + filepath.Join(t.TempDir(), "directory.db") }},
	{"postgres", func(t testing.TB) string { return postgres.Server(t).Database(t) }},
}

// everywhere runs a test against each kind of database.
func everywhere(t *testing.T, test func(*testing.T, *world)) {
	t.Helper()
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) { test(t, newWorld(t, k)) })
	}
}

func newWorld(t testing.TB, k kind) *world {
	t.Helper()
	return &world{url: k.url(t), now: time.Now().Truncate(time.Second), ca: testkit.NewCA(t)}
}

func (w *world) open(t testing.TB, change ...func(*store.Options)) *store.Store {
	t.Helper()
	opts := store.Options{URL: w.url, Clock: func() time.Time { return w.now }}
	for _, c := range change {
		c(&opts)
	}
	s, err := store.Open(context.Background(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

// cert issues a certificate for the addresses. Its key is its own each time.
func (w *world) cert(t testing.TB, addresses ...string) *certificate.Certificate {
	t.Helper()
	return w.leaf(t, testkit.Leaf{Addresses: addresses, Key: "p256"})
}

func (w *world) leaf(t testing.TB, leaf testkit.Leaf) *certificate.Certificate {
	t.Helper()
	c, err := certificate.Parse(w.ca.Issue(t, leaf).Cert.Raw)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func add(t testing.TB, s *store.Store, list ...store.New) []store.Added {
	t.Helper()
	for i := range list {
		if list[i].Origin == "" {
			list[i].Origin = store.OriginImport
		}
	}
	added, err := s.Add(context.Background(), list)
	if err != nil {
		t.Fatal(err)
	}
	return added
}

func TestAddAndLookup(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		s := w.open(t)
		anna := w.cert(t, "anna@example.org", "a.miller@Example.ORG")
		added := add(t, s, store.New{Cert: anna})
		if a := added[0]; a.Known || a.Status != store.StatusActive || a.Fingerprint != anna.Fingerprint() {
			t.Errorf("added: %+v", a)
		}
		found, err := s.Lookup(t.Context(), []string{"anna@example.org", "nobody@example.org", "a.miller@example.org", "anna@example.org", "bad\x00\xff"})
		if err != nil {
			t.Fatal(err)
		}
		for i, n := range []int{1, 0, 1, 1, 0} {
			if len(found[i]) != n {
				t.Errorf("address %d has %d certificates, want %d", i, len(found[i]), n)
			}
		}
		c := found[0][0]
		if c.Cert.Fingerprint() != anna.Fingerprint() || c.Origin != store.OriginImport || !c.FirstSeen.Equal(w.now) || c.Seq == 0 {
			t.Errorf("%+v", c)
		}
	})
}
