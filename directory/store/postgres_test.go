package store_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"sealpost/directory/store"
	"sealpost/internal/testkit"
)

// ownServer is a store on a server that the test may stop.
func ownServer(t *testing.T, opts testkit.PostgresOptions) (*testkit.Postgres, *world) {
	t.Helper()
	server := testkit.StartPostgres(t, opts)
	return server, &world{url: server.Database(t), now: time.Now().Truncate(time.Second), ca: testkit.NewCA(t)}
}

// impatient makes waiting short enough for a test.
func impatient(o *store.Options) { o.Timeout = 2 * time.Second }

// tryAll calls what needs the database, all at once. Each must fail, and none may
// hang.
func tryAll(t *testing.T, w *world, s *store.Store) {
	t.Helper()
	c := w.cert(t, bob)
	for name, call := range map[string]func() error{
		"Lookup":  func() error { _, err := s.Lookup(context.Background(), []string{anna}); return err },
		"Stats":   func() error { _, err := s.Stats(context.Background()); return err },
		"Changes": func() error { _, err := s.Changes(context.Background(), 0, 10); return err },
		"Add": func() error {
			_, err := s.Add(context.Background(), []store.New{{Cert: c, Origin: store.OriginAPI}})
			return err
		},
		"Authenticate": func() error { _, err := s.Authenticate(context.Background(), "sealpost_0_0"); return err },
	} {
		failed := make(chan error, 1)
		go func() { failed <- call() }()
		defer func() {
			select {
			case err := <-failed:
				if err == nil || errors.Is(err, store.ErrToken) || errors.Is(err, store.ErrNotFound) {
					t.Errorf("%s without a database: %v", name, err)
				}
			case <-time.After(testkit.Patience):
				t.Errorf("%s hangs", name)
			}
		}()
	}
}

// The server goes away and comes back: errors meanwhile, and then all goes on,
// those who wait for changes included, without a restart of ours.
func TestPostgresAwayAndBack(t *testing.T) {
	server, w := ownServer(t, testkit.PostgresOptions{})
	s, other := w.open(t, impatient), w.open(t, impatient)
	c := w.cert(t, anna)
	add(t, s, store.New{Cert: c})
	wantActive(t, other, anna, c)
	for name, trouble := range map[string]struct{ begin, end func() }{
		"stopped": {func() { server.Stop(t) }, func() { server.Start(t) }},
		"paused":  {func() { server.Pause(t) }, func() { server.Resume(t) }},
	} {
		t.Run(name, func(t *testing.T) {
			before, err := s.Sequence(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			woken := make(chan error, 1)
			go func() { woken <- other.Wait(context.Background(), before) }()
			trouble.begin()
			tryAll(t, w, s)
			trouble.end()
			testkit.Poll(t, "the database to answer again", func() bool {
				found, err := s.Lookup(t.Context(), []string{anna})
				return err == nil && len(found[0]) == 1
			})
			// Whether the Add above was made is open; adding again is safe.
			added := add(t, s, store.New{Cert: w.cert(t, bob)})
			if added[0].Status != store.StatusActive {
				t.Errorf("%+v", added)
			}
			within(t, woken, nil)
		})
	}
}

// A restart between two calls is not noticed, and neither is one connection that
// an operator cuts.
func TestPostgresRestart(t *testing.T) {
	server, w := ownServer(t, testkit.PostgresOptions{})
	s := w.open(t)
	c := w.cert(t, anna)
	add(t, s, store.New{Cert: c})
	cut := func() {
		server.Run(t, "psql", "-q", "-d", w.url, "-c", "SELECT pg_terminate_backend(pid, 20000) FROM pg_stat_activity WHERE application_name = 'sealpost'")
	}
	for _, trouble := range []func(){func() { server.Stop(t); server.Start(t) }, cut} {
		wantActive(t, s, anna, c)
		trouble()
		wantActive(t, s, anna, c)
		trouble()
		add(t, s, store.New{Cert: w.cert(t, bob)})
	}
}

// What was told is there after the server lost power.
func TestPostgresCrash(t *testing.T) {
	server, w := ownServer(t, testkit.PostgresOptions{Durable: true, Settings: []string{"synchronous_commit=off"}})
	s, m := w.open(t), newMould(t, w.ca)
	f := newFollower()
	for round := range 3 {
		for n := range 20 {
			add(t, s, m.list(t, round*20+n+1)[round*20+n:]...)
		}
		server.Crash(t)
		server.Start(t)
		f.follow(t, s, 1000)
		if len(f.has) != round*20+20 {
			t.Fatalf("%d of %d are there", len(f.has), round*20+20)
		}
		compare(t, s, f)
	}
}

// A role that owns only the schema is enough, with a password beside the URL;
// a wrong one stands in no error.
func TestPostgresRole(t *testing.T) {
	server, w := ownServer(t, testkit.PostgresOptions{})
	_, database, _ := strings.Cut(w.url, "@/")
	database, _, _ = strings.Cut(database, "?")
	server.Run(t, "psql", "-q", "-d", w.url, "-c", "CREATE ROLE guarded LOGIN PASSWORD 'open sesame'", "-c", "CREATE SCHEMA sealpost AUTHORIZATION guarded")
	w.url = server.URL("guarded", database)
	s := w.open(t, func(o *store.Options) { o.Password = "open sesame" })
	c := w.cert(t, anna)
	add(t, s, store.New{Cert: c})
	wantActive(t, s, anna, c)
	if _, err := s.Stats(t.Context()); err != nil {
		t.Error(err)
	}
	_, err := store.Open(t.Context(), store.Options{URL: w.url, Password: "wrong-canary", Timeout: time.Second})
	if err == nil || strings.Contains(err.Error(), "wrong-canary") {
		t.Errorf("a wrong password: %v", err)
	}
	_, err = store.Open(t.Context(), store.Options{URL: strings.Replace(w.url, "guarded", "guarded:wrong-canary", 1) + "&bad", Timeout: time.Second})
	if err == nil || strings.Contains(err.Error(), "wrong-canary") {
		t.Errorf("a wrong password in the URL: %v", err)
	}
}

// After an import PostgreSQL knows how large its tables are, and does not read
// them through for each lookup until it finds out by itself.
func TestPostgresCountsAfterAnImport(t *testing.T) {
	server, w := ownServer(t, testkit.PostgresOptions{})
	s := w.open(t)
	bulk, err := s.Bulk(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bulk.Add(t.Context(), []store.New{{Cert: w.cert(t, anna), Origin: store.OriginImport}}); err != nil {
		t.Fatal(err)
	}
	if err := bulk.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, table := range []string{"mailbox", "certificate"} {
		got := server.Run(t, "psql", "-qAt", "-d", w.url, "-c", "SELECT reltuples FROM pg_class WHERE relname = '"+table+"'")
		if strings.TrimSpace(got) != "1" {
			t.Errorf("%s has %q rows by PostgreSQL's own count", table, got)
		}
	}
}
