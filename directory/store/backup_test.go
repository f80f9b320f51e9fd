package store_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"sealpost/directory/store"
)

func TestBackupAndRestore(t *testing.T) {
	w := newWorld(t, kinds[0])
	s := w.open(t)
	kept, lost := w.cert(t, anna), w.cert(t, bob)
	add(t, s, store.New{Cert: kept})
	backup := filepath.Join(t.TempDir(), "backup.db")
	if err := s.Backup(t.Context(), backup); err != nil {
		t.Fatal(err)
	}
	if err := s.Backup(t.Context(), backup); !errors.Is(err, os.ErrExist) {
		t.Errorf("over a backup that is there: %v", err)
	}
	if info, err := os.Stat(backup); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	add(t, s, store.New{Cert: lost})
	epoch := s.Epoch()
	if err := store.Restore(t.Context(), backup, w.url); !errors.Is(err, store.ErrInUse) {
		t.Fatalf("over a database in use: %v", err)
	}
	wantActive(t, s, bob, lost)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := store.Restore(t.Context(), backup, w.url); err != nil {
		t.Fatal(err)
	}
	s = w.open(t)
	wantActive(t, s, anna, kept)
	wantActive(t, s, bob)
	restored := s.Epoch()
	if restored == epoch {
		t.Error("the epoch is the same: mirrors would not notice")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s = w.open(t); s.Epoch() != restored {
		t.Error("the epoch changes with every start")
	}
	// Also when somebody copies a backup by hand.
	byHand := &world{url: "sqlite:" + filepath.Join(t.TempDir(), "copy.db"), now: w.now, ca: w.ca}
	copyFile(t, backup, byHand.url[len("sqlite:"):])
	if c := byHand.open(t); c.Epoch() == epoch || c.Epoch() == restored {
		t.Error("a copied backup has an epoch that was there before")
	}
}

func copyFile(t testing.TB, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// What is not a whole backup of ours changes nothing.
func TestRestoreRefuses(t *testing.T) {
	w := newWorld(t, kinds[0])
	s, m := w.open(t), newMould(t, w.ca)
	add(t, s, m.list(t, 200)...)
	dir := t.TempDir()
	whole := filepath.Join(dir, "whole.db")
	if err := s.Backup(t.Context(), whole); err != nil {
		t.Fatal(err)
	}
	if err := s.SetVersion(t.Context(), 1000); err != nil {
		t.Fatal(err)
	}
	newer := filepath.Join(dir, "newer.db")
	if err := s.Backup(t.Context(), newer); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	damaged := append([]byte(nil), data...)
	damaged[bytes.Index(data, m.cert(t, 42).Raw)+500] ^= 1
	target := filepath.Join(dir, "directory.db")
	c := w.cert(t, anna)
	intact := &world{url: "sqlite:" + target, now: w.now, ca: w.ca}
	before := intact.open(t)
	add(t, before, store.New{Cert: c})
	if err := before.Close(); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		data []byte
		want error
	}{
		"cut":      {data[:len(data)/2], store.ErrDamaged},
		"damaged":  {damaged, store.ErrDamaged},
		"text":     {[]byte("-----BEGIN CERTIFICATE-----"), store.ErrDamaged},
		"empty":    {nil, store.ErrForeign},
		"database": {mustRead(t, target), store.ErrDamaged},
		"newer":    {mustRead(t, newer), store.ErrNewer},
	} {
		file := filepath.Join(dir, name+".backup")
		if err := os.WriteFile(file, test.data, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := store.Restore(t.Context(), file, intact.url); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
	if err := store.Restore(t.Context(), filepath.Join(dir, "nothing"), intact.url); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	wantActive(t, intact.open(t), anna, c)
}

func mustRead(t testing.TB, file string) []byte {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// A dump that is restored is another epoch, whether into a database of its own
// or into the place of the old one.
func TestDumpAndRestore(t *testing.T) {
	w := newWorld(t, kinds[1])
	server := postgres.Server(t)
	s := w.open(t)
	kept := w.cert(t, anna)
	add(t, s, store.New{Cert: kept})
	secret, _, err := s.CreateToken(t.Context(), "relay", []store.Scope{store.ScopeFeed}, w.now.Add(3600e9))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Backup(t.Context(), filepath.Join(t.TempDir(), "x")); !errors.Is(err, store.ErrServer) {
		t.Errorf("backup of a server: %v", err)
	}
	dump := filepath.Join(t.TempDir(), "directory.dump")
	server.Run(t, "pg_dump", "--format=custom", "--schema=sealpost", "--file="+dump, "--dbname="+w.url)
	add(t, s, store.New{Cert: w.cert(t, bob)})
	epoch := s.Epoch()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	elsewhere := &world{url: server.Database(t), now: w.now, ca: w.ca}
	seen := map[string]bool{epoch: true}
	for _, w := range []*world{elsewhere, w} {
		server.Run(t, "pg_restore", "--clean", "--if-exists", "--single-transaction", "--dbname="+w.url, dump)
		s := w.open(t)
		wantActive(t, s, anna, kept)
		wantActive(t, s, bob)
		if seen[s.Epoch()] {
			t.Error("an epoch that was there before")
		}
		seen[s.Epoch()] = true
		if _, err := s.Authenticate(t.Context(), secret); err != nil {
			t.Errorf("the token: %v", err)
		}
		add(t, s, store.New{Cert: w.cert(t, bob)})
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
