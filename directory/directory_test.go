package directory_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sealpost/directory"
	"sealpost/directory/harvest"
	"sealpost/directory/store"
	"sealpost/internal/address"
	"sealpost/internal/certificate"
	"sealpost/internal/reason"
	"sealpost/internal/testkit"
	"sealpost/lookup/keydb"
)

func open(t testing.TB, dir string, change func(*directory.Options)) *directory.Directory {
	t.Helper()
	opts := directory.Options{
		Store: store.Options{URL: "sqlite:" + filepath.Join(dir, "keys.db")},
		Index: filepath.Join(dir, "keys.index"),
		Log:   slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&opts)
	}
	d, err := directory.Open(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func close(t testing.TB, d *directory.Directory) {
	t.Helper()
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

func mailbox(t testing.TB, s string) address.Address {
	t.Helper()
	a, err := address.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func certFor(t testing.TB, ca *testkit.CA, addr string) *certificate.Certificate {
	t.Helper()
	c, err := certificate.Parse(ca.Issue(t, testkit.Leaf{Addresses: []string{addr}, Key: "p256"}).Cert.Raw)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// What another process writes into the database is found through the index.
func TestIndexFollowsTheDatabase(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	dir, ca := t.TempDir(), testkit.NewCA(t)
	other, err := store.Open(t.Context(), store.Options{URL: "sqlite:" + filepath.Join(dir, "keys.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	for round := range 2 { // the second time the index is there already
		d := open(t, dir, nil)
		for i := range 20 {
			addr := fmt.Sprintf("user%d-%d@example.org", round, i)
			if _, err := other.Add(t.Context(), []store.New{{Cert: certFor(t, ca, addr), Origin: store.OriginImport}}); err != nil {
				t.Fatal(err)
			}
			testkit.Poll(t, addr, func() bool {
				found, err := d.Find(t.Context(), mailbox(t, addr))
				return err == nil && len(found) == 1
			})
		}
		testkit.Poll(t, "the index", func() bool {
			s := d.State(t.Context())
			return s.Index.Complete && s.Index.Lag() == 0 && s.Index.Entries == 20*(round+1) && s.Store == nil
		})
		close(t, d)
	}
}

// A revoked certificate is gone from lookups when the order has been answered.
func TestWritersReadTheirWrites(t *testing.T) {
	dir, ca := t.TempDir(), testkit.NewCA(t)
	d := open(t, dir, nil)
	defer close(t, d)
	server := httptest.NewServer(d.Handler())
	defer server.Close()
	db, err := store.Open(t.Context(), store.Options{URL: "sqlite:" + filepath.Join(dir, "keys.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	secret, _, err := db.CreateToken(t.Context(), "test", []store.Scope{store.ScopeWrite, store.ScopeRead}, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	client, err := keydb.New(keydb.Options{URL: server.URL, Token: func() (string, error) { return secret, nil }, AllowHTTP: true})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		addr := fmt.Sprintf("user%d@example.org", i)
		if _, err := client.Publish(t.Context(), keydb.Publication{DER: certFor(t, ca, addr).Raw}); err != nil {
			t.Fatal(err)
		}
		if a, err := client.Lookup(t.Context(), mailbox(t, addr)); err != nil || len(a.Certificates) != 1 {
			t.Fatalf("%s right after it was published: %v, %v", addr, a, err)
		}
	}
}

// Without an index everything comes from the database.
func TestWithoutIndex(t *testing.T) {
	d := open(t, t.TempDir(), func(o *directory.Options) { o.Index = "" })
	defer close(t, d)
	if found, err := d.Find(t.Context(), mailbox(t, "nobody@example.org")); err != nil || len(found) != 0 {
		t.Errorf("%v, %v", found, err)
	}
}

// reader is a harvester that has read already.
type reader struct {
	learned harvest.Learned
	err     error
}

func (r reader) Read(context.Context, io.Reader) (harvest.Learned, error) { return r.learned, r.err }

func TestLearn(t *testing.T) {
	ca := testkit.NewCA(t)
	anna := mailbox(t, "anna@example.org")
	none := open(t, t.TempDir(), nil)
	defer close(t, none)
	if _, _, err := none.Learn(t.Context(), nil); !errors.Is(err, directory.ErrNoHarvest) {
		t.Error(err)
	}
	refuses := open(t, t.TempDir(), func(o *directory.Options) {
		o.Harvester = reader{err: &harvest.Refusal{Reason: reason.MessageMalformed, Why: "no"}}
	})
	defer close(t, refuses)
	var no *harvest.Refusal
	if _, _, err := refuses.Learn(t.Context(), nil); !errors.As(err, &no) {
		t.Error(err)
	}
	d := open(t, t.TempDir(), func(o *directory.Options) {
		o.Harvester = reader{learned: harvest.Learned{Address: anna, Certificate: certFor(t, ca, "anna@example.org"), SigningTime: time.Now()}}
	})
	defer close(t, d)
	for _, known := range []bool{false, true} {
		_, added, err := d.Learn(t.Context(), nil)
		if err != nil || added.Known != known || added.Status != store.StatusActive {
			t.Errorf("%+v, %v", added, err)
		}
	}
	found, err := d.Find(t.Context(), anna)
	if err != nil || len(found) != 1 || found[0].Origin != "harvest" {
		t.Errorf("%v, %v", found, err)
	}
}

// Two nodes cannot have one index; the database is theirs together.
func TestTwoNodes(t *testing.T) {
	postgres := testkit.StartPostgres(t, testkit.PostgresOptions{})
	url := postgres.Database(t)
	ca := testkit.NewCA(t)
	var nodes []*directory.Directory
	for range 2 {
		d := open(t, t.TempDir(), func(o *directory.Options) { o.Store.URL = url })
		defer close(t, d)
		nodes = append(nodes, d)
	}
	db, err := store.Open(t.Context(), store.Options{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var writers sync.WaitGroup
	for w := range 4 {
		var certs []store.New
		for i := range 10 {
			certs = append(certs, store.New{Cert: certFor(t, ca, fmt.Sprintf("u%d@w%d.example", i, w)), Origin: store.OriginImport})
		}
		writers.Go(func() {
			for _, c := range certs {
				if _, err := db.Add(t.Context(), []store.New{c}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	for i, d := range nodes {
		testkit.Poll(t, fmt.Sprintf("node %d to have everything", i), func() bool { return d.State(t.Context()).Index.Entries == 40 })
	}
}
