package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sealpost/directory/store"
	"sealpost/internal/address"
)

func parseAddress(t testing.TB, s string) address.Address {
	t.Helper()
	a, err := address.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// newKey is a certificate for the address, and a stand-in for its wrapped key.
func (w *world) newKey(t testing.TB, addr string) store.NewKey {
	t.Helper()
	return store.NewKey{
		Cert: w.cert(t, addr), Address: parseAddress(t, addr), Wrapped: []byte("wrapped key of " + addr), Keeper: "file:1",
		Secret: "$argon2id$", References: []string{"invoice 7", "customer 3"}, Language: "zh", Sender: "bank@example.com", Actor: "token 1",
	}
}

func provision(t testing.TB, s *store.Store, n store.NewKey) store.Provisioned {
	t.Helper()
	p, err := s.Provision(context.Background(), n)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Certificates) == 0 {
		t.Fatal("provisioned, and no certificate")
	}
	return p
}

// kindsOf lists what the audit log says, and holds it to its chain.
func kindsOf(t testing.TB, s *store.Store) string {
	t.Helper()
	if _, err := s.VerifyAudit(context.Background(), nil); err != nil {
		t.Fatal(err)
	}
	list, err := s.AuditLog(context.Background(), 0, 5000)
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for _, a := range list {
		kinds = append(kinds, string(a.Kind))
	}
	return strings.Join(kinds, " ")
}

func TestProvisionOnce(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		s := w.open(t)
		n := w.newKey(t, anna)
		n.Expires = w.now.Add(time.Hour)
		if p := provision(t, s, n); !p.Created || p.Certificates[0].Origin != store.OriginIssued || p.Certificates[0].Seq == 0 {
			t.Fatalf("%+v", p)
		}
		wantActive(t, s, anna, n.Cert)
		second := w.newKey(t, anna)
		if p := provision(t, s, second); p.Created || len(p.Certificates) != 1 || p.Certificates[0].Cert.Fingerprint() != n.Cert.Fingerprint() {
			t.Errorf("again: %+v", p)
		}
		if _, err := s.ByFingerprint(t.Context(), second.Cert.Fingerprint()); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("the certificate that came second is kept: %v", err)
		}
		k, err := s.KeyOf(t.Context(), n.Cert.Fingerprint())
		if err != nil || k.Wrapped != nil || k.Address != anna || k.Keeper != "file:1" || k.Secret != n.Secret || k.Language != "zh" ||
			k.Sender != n.Sender || len(k.References) != 2 || k.References[1] != "customer 3" || !k.Expires.Equal(n.Expires) || !k.Created.Equal(w.now) {
			t.Errorf("%+v, %v", k, err)
		}
		if got := kindsOf(t, s); got != "issued provisioned" {
			t.Errorf("audit log: %s", got)
		}
		if _, err := s.KeyOf(t.Context(), second.Cert.Fingerprint()); !errors.Is(err, store.ErrNotFound) {
			t.Error(err)
		}
	})
}

// An address that has a usable certificate of anybody gets none; one whose
// certificate cannot be used, has expired or was revoked gets one.
func TestProvisionBesideOthers(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		s := w.open(t)
		imported := w.cert(t, anna)
		add(t, s, store.New{Cert: imported})
		if p := provision(t, s, w.newKey(t, anna)); p.Created || p.Certificates[0].Cert.Fingerprint() != imported.Fingerprint() {
			t.Errorf("beside an imported one: %+v", p)
		}
		n := w.newKey(t, anna)
		n.Usable = func(c store.Certificate) bool { return c.Cert.Fingerprint() != imported.Fingerprint() }
		if p := provision(t, s, n); !p.Created {
			t.Error("an unusable certificate is in the way")
		}
		if err := s.SetStatus(t.Context(), n.Cert.Fingerprint(), store.StatusRevoked, "lost"); err != nil {
			t.Fatal(err)
		}
		if err := s.SetStatus(t.Context(), imported.Fingerprint(), store.StatusHeld, ""); err != nil {
			t.Fatal(err)
		}
		last := w.newKey(t, anna)
		if p := provision(t, s, last); !p.Created {
			t.Error("a revoked and a held certificate are in the way")
		}
		w.now = last.Cert.NotAfter.Add(time.Second)
		if _, err := s.Provision(t.Context(), last); !errors.Is(err, store.ErrExpired) {
			t.Errorf("an expired certificate: %v", err)
		}
	})
}

func TestProvisionRefuses(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		s := w.open(t)
		for name, change := range map[string]func(*store.NewKey){
			"no certificate": func(n *store.NewKey) { n.Cert = nil }, "no key": func(n *store.NewKey) { n.Wrapped = nil },
			"no keeper": func(n *store.NewKey) { n.Keeper = "" }, "no address": func(n *store.NewKey) { n.Address = address.Address{} },
		} {
			n := w.newKey(t, anna)
			change(&n)
			if _, err := s.Provision(t.Context(), n); !errors.Is(err, store.ErrNoKey) {
				t.Errorf("%s: %v", name, err)
			}
		}
		// One that is stored already, for another address.
		n := w.newKey(t, bob)
		add(t, s, store.New{Cert: n.Cert, Addresses: []address.Address{parseAddress(t, anna)}})
		if _, err := s.Provision(t.Context(), n); err == nil {
			t.Error("a certificate that is stored gets a key")
		}
		if _, err := s.KeyOf(t.Context(), n.Cert.Fingerprint()); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("a refused key was stored: %v", err)
		}
		if got := kindsOf(t, s); got != "" {
			t.Errorf("audit log: %s", got)
		}
	})
}

// Two nodes ask at the same moment for the same addresses: each gets one key, and
// both are told the same.
func TestProvisionOnTwoNodes(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		nodes := []*store.Store{w.open(t), w.open(t)}
		const addresses, askers = 10, 4
		for i := range addresses {
			name := fmt.Sprintf("person%d@example.org", i)
			var mu sync.Mutex
			var group sync.WaitGroup
			created, told := 0, map[[32]byte]bool{}
			for j := range askers {
				n := w.newKey(t, name)
				group.Go(func() {
					p, err := nodes[j%2].Provision(context.Background(), n)
					mu.Lock()
					defer mu.Unlock()
					if err != nil {
						t.Error(err)
						return
					}
					if p.Created {
						created++
					}
					told[p.Certificates[0].Cert.Fingerprint()] = true
				})
			}
			group.Wait()
			keys, err := nodes[0].KeysOf(t.Context(), name)
			if created != 1 || len(told) != 1 || err != nil || len(keys) != 1 {
				t.Errorf("%s: %d created, %d told, %d keys: %v", name, created, len(told), len(keys), err)
			}
		}
	})
}

func TestUseAndDeleteKey(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		s := w.open(t)
		n, m := w.newKey(t, anna), w.newKey(t, bob)
		provision(t, s, n)
		provision(t, s, m)
		fingerprint := n.Cert.Fingerprint()
		k, err := s.UseKey(t.Context(), fingerprint, "portal", "claimed as PKCS #12")
		if err != nil || !bytes.Equal(k.Wrapped, n.Wrapped) {
			t.Fatalf("%+v, %v", k, err)
		}
		if err := s.ClaimKey(t.Context(), fingerprint, "portal", "PKCS #12"); err != nil {
			t.Fatal(err)
		}
		w.now = w.now.Add(time.Hour)
		if err := s.ClaimKey(t.Context(), fingerprint, "portal", "PKCS #12 again"); err != nil {
			t.Fatal(err)
		}
		if k, err := s.KeyOf(t.Context(), fingerprint); err != nil || !k.Claimed.Equal(w.now.Add(-time.Hour)) {
			t.Errorf("claimed %v, %v", k.Claimed, err)
		}
		for _, f := range [][32]byte{fingerprint, m.Cert.Fingerprint()} {
			if err := s.DeleteKey(t.Context(), f, "portal", "as he wished"); err != nil {
				t.Fatal(err)
			}
			for name, call := range map[string]func() error{
				"use":    func() error { _, err := s.UseKey(t.Context(), f, "portal", ""); return err },
				"of":     func() error { _, err := s.KeyOf(t.Context(), f); return err },
				"claim":  func() error { return s.ClaimKey(t.Context(), f, "portal", "") },
				"keep":   func() error { return s.KeepKey(t.Context(), f, time.Time{}) },
				"delete": func() error { return s.DeleteKey(t.Context(), f, "portal", "") },
			} {
				if err := call(); !errors.Is(err, store.ErrKeyDeleted) {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
		if _, err := s.UseKey(t.Context(), [32]byte{}, "portal", ""); !errors.Is(err, store.ErrNotFound) {
			t.Error(err)
		}
		// What was claimed can be read by its owner; what was not, by nobody.
		wantActive(t, s, anna, n.Cert)
		wantActive(t, s, bob)
		if r, err := s.Revocations(t.Context(), w.now); err != nil || len(r) != 1 {
			t.Errorf("%d revocations, %v", len(r), err)
		}
		if p := provision(t, s, w.newKey(t, bob)); !p.Created {
			t.Error("no new key in the place of one that was deleted")
		}
		if got := kindsOf(t, s); got != "issued provisioned issued provisioned key-used claimed claimed key-deleted key-deleted revoked issued provisioned" {
			t.Errorf("audit log: %s", got)
		}
		if c, err := s.CountKeys(t.Context()); err != nil || c.Deleted != 2 || c.Claimed != 0 || c.Unclaimed != 1 || c.Keepers["file:1"] != 1 {
			t.Errorf("%+v, %v", c, err)
		}
	})
}

// What is deleted is not in the file any more, once the log is written back.
func TestDeletedKeyIsOverwritten(t *testing.T) {
	w := newWorld(t, kinds[0])
	s := w.open(t)
	n := w.newKey(t, anna)
	n.Wrapped = []byte("needle-in-the-haystack")
	provision(t, s, n)
	backup := filepath.Join(t.TempDir(), "backup")
	if err := s.DeleteKey(t.Context(), n.Cert.Fingerprint(), "test", ""); err != nil {
		t.Fatal(err)
	}
	if err := s.Backup(t.Context(), backup); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil { // the last one to close writes the log back
		t.Fatal(err)
	}
	for _, file := range []string{backup, strings.TrimPrefix(w.url, "sqlite:")} {
		data, err := os.ReadFile(file)
		if err != nil || bytes.Contains(data, n.Wrapped) {
			t.Errorf("%s has the deleted key: %v", file, err)
		}
	}
}

func TestExpireKeys(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		s := w.open(t)
		n, m := w.newKey(t, anna), w.newKey(t, bob)
		n.Expires = w.now.Add(time.Hour)
		provision(t, s, n)
		provision(t, s, m)
		if count, err := s.ExpireKeys(t.Context(), "directory"); err != nil || count != 0 {
			t.Errorf("%d too early, %v", count, err)
		}
		w.now = w.now.Add(2 * time.Hour)
		if count, err := s.ExpireKeys(t.Context(), "directory"); err != nil || count != 1 {
			t.Errorf("%d, %v", count, err)
		}
		if err := s.KeepKey(t.Context(), m.Cert.Fingerprint(), w.now); err != nil {
			t.Fatal(err)
		}
		if count, err := s.ExpireKeys(t.Context(), "directory"); err != nil || count != 1 {
			t.Errorf("%d, %v", count, err)
		}
		wantActive(t, s, anna)
		wantActive(t, s, bob)
	})
}

// While keys are wrapped anew, others are made, used and deleted. Nothing that was
// deleted comes back, and what cannot be wrapped stays as it was.
func TestRewrap(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		s := w.open(t)
		const people = 7
		var keys []store.NewKey
		for i := range people {
			keys = append(keys, w.newKey(t, fmt.Sprintf("person%d@example.org", i)))
			provision(t, s, keys[i])
		}
		trouble := errors.New("the key service is away")
		var deleted, failed [32]byte
		f := func(ctx context.Context, k store.Key) ([]byte, string, error) {
			switch {
			case deleted == [32]byte{}:
				deleted = k.Fingerprint
				if err := s.DeleteKey(ctx, deleted, "test", ""); err != nil {
					t.Error(err)
				}
			case failed == [32]byte{}:
				failed = k.Fingerprint
				return nil, "", trouble
			}
			return append([]byte("new "), k.Wrapped...), "file:2", nil
		}
		done, err := s.Rewrap(t.Context(), "file:2", 3, "operator", f)
		if !errors.Is(err, trouble) || done.Failed != 1 || done.Keys != people-1 {
			t.Errorf("%+v, %v", done, err)
		}
		if c, err := s.CountKeys(t.Context()); err != nil || c.Keepers["file:1"] != 1 || c.Keepers["file:2"] != people-2 || c.Deleted != 1 {
			t.Errorf("%+v, %v", c, err)
		}
		if done, err = s.Rewrap(t.Context(), "file:2", 3, "operator", f); err != nil || done.Keys != 1 {
			t.Errorf("again: %+v, %v", done, err)
		}
		for _, n := range keys {
			k, err := s.UseKey(t.Context(), n.Cert.Fingerprint(), "test", "")
			if n.Cert.Fingerprint() == deleted {
				if !errors.Is(err, store.ErrKeyDeleted) {
					t.Errorf("the deleted one: %v", err)
				}
			} else if err != nil || string(k.Wrapped) != "new "+string(n.Wrapped) || k.Keeper != "file:2" {
				t.Errorf("%s: %q by %s: %v", k.Address, k.Wrapped, k.Keeper, err)
			}
		}
		if got := strings.Count(kindsOf(t, s), "key-rewrapped"); got != people+1 {
			t.Errorf("%d records of reading", got)
		}
	})
}

// A key is wrapped anew by whoever made it, unless it was changed or deleted.
func TestWrapAnew(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		s := w.open(t)
		n := w.newKey(t, anna)
		provision(t, s, n)
		f := n.Cert.Fingerprint()
		for i, old := range [][]byte{[]byte("another"), n.Wrapped, n.Wrapped} { // the last one is late
			if err := s.WrapAnew(t.Context(), f, old, []byte("anew"), fmt.Sprintf("file:%d", i+1), "token 1"); err != nil {
				t.Fatal(err)
			}
		}
		if k, err := s.UseKey(t.Context(), f, "test", ""); err != nil || string(k.Wrapped) != "anew" || k.Keeper != "file:2" {
			t.Errorf("%q by %s, %v", k.Wrapped, k.Keeper, err)
		}
		if err := s.DeleteKey(t.Context(), f, "test", ""); err != nil {
			t.Fatal(err)
		}
		if err := s.WrapAnew(t.Context(), f, []byte("anew"), []byte("again"), "file:3", "token 1"); !errors.Is(err, store.ErrKeyDeleted) {
			t.Errorf("a deleted one: %v", err)
		}
		if got := kindsOf(t, s); got != "issued provisioned key-rewrapped key-used key-deleted revoked" {
			t.Errorf("audit log: %s", got)
		}
	})
}
