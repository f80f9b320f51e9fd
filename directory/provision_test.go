package directory_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"sealpost/directory"
	"sealpost/directory/ca"
	"sealpost/directory/escrow"
	"sealpost/directory/provision"
	"sealpost/directory/store"
	"sealpost/internal/testkit"
)

// authority makes an authority as `directory ca init` does.
func authority(t testing.TB) *ca.Authority {
	t.Helper()
	made, err := ca.Make(ca.MakeOptions{Name: "Bank Mail", Organization: "Bank", Country: "DE", Key: "p-256"})
	if err != nil {
		t.Fatal(err)
	}
	a, err := ca.Open(ca.Options{Certificate: made.Certificate, Key: made.Key})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// A directory that provisions: the key is made by the authority's profile, found
// at once, and gone when its time is over.
func TestProvision(t *testing.T) {
	dir := t.TempDir()
	master := filepath.Join(dir, "escrow.key")
	if _, err := escrow.CreateFile(master, time.Now()); err != nil {
		t.Fatal(err)
	}
	keeper, err := escrow.OpenFile(master, nil)
	if err != nil {
		t.Fatal(err)
	}
	pool, err := ca.NewPool(ca.PoolOptions{Kind: ca.RSA2048, Size: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	d := open(t, dir, func(o *directory.Options) {
		o.Provision = &provision.Options{Issuer: authority(t), Pool: pool, Keeper: keeper}
	})
	defer close(t, d)
	request := provision.Request{Address: mailbox(t, "new@example.org"), Actor: "relay"}
	a, created, err := d.Provision(t.Context(), request)
	if err != nil || !created || len(a.Certificates) != 1 || a.Address != "new@example.org" || a.Certificates[0].Key != "RSA 2048" {
		t.Fatalf("%+v, created %v: %v", a, created, err)
	}
	found, err := d.Find(t.Context(), request.Address)
	if err != nil || len(found) != 1 || found[0].SHA256 != a.Certificates[0].SHA256 {
		t.Errorf("a lookup finds %d certificates, %v", len(found), err)
	}
	if _, created, err := d.Provision(t.Context(), request); err != nil || created {
		t.Errorf("again: created %v, %v", created, err)
	}
	none := open(t, t.TempDir(), nil)
	defer close(t, none)
	if _, _, err := none.Provision(context.Background(), request); !errors.Is(err, directory.ErrNoProvision) {
		t.Errorf("one that makes no keys: %v", err)
	}
}

// Keys are deleted when their time is over, by a directory that makes none any
// more too.
func TestKeysExpire(t *testing.T) {
	dir := t.TempDir()
	master := filepath.Join(dir, "escrow.key")
	if _, err := escrow.CreateFile(master, time.Now()); err != nil {
		t.Fatal(err)
	}
	keeper, err := escrow.OpenFile(master, nil)
	if err != nil {
		t.Fatal(err)
	}
	pool, err := ca.NewPool(ca.PoolOptions{Kind: ca.P256})
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	d := open(t, dir, func(o *directory.Options) {
		o.Provision = &provision.Options{Issuer: authority(t), Pool: pool, Keeper: keeper, Keep: time.Hour}
	})
	a, _, err := d.Provision(t.Context(), provision.Request{Address: mailbox(t, "new@example.org")})
	if err != nil {
		t.Fatal(err)
	}
	close(t, d)
	later := a.Certificates[0].NotAfter.Add(2 * time.Hour)
	d = open(t, dir, func(o *directory.Options) { o.Clock = func() time.Time { return later } })
	defer close(t, d)
	db, err := store.Open(t.Context(), store.Options{URL: "sqlite:" + filepath.Join(dir, "keys.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	testkit.Poll(t, "the key to be deleted", func() bool {
		_, err := db.KeyOf(t.Context(), a.Certificates[0].SHA256)
		return errors.Is(err, store.ErrKeyDeleted)
	})
}
