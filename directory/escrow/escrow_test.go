package escrow_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sealpost/directory/escrow"
)

const anna = "anna@example.org"

func keyFile(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "escrow.key")
	if _, err := escrow.CreateFile(path, time.Now()); err != nil {
		t.Fatal(err)
	}
	return path
}

func open(t testing.TB, path string) *escrow.File {
	t.Helper()
	f, err := escrow.OpenFile(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func sealed(t testing.TB, k escrow.Keeper, key crypto.Signer, fingerprint byte, address string) []byte {
	t.Helper()
	wrapped, id, err := escrow.Seal(t.Context(), k, key, [32]byte{fingerprint}, address)
	if err != nil {
		t.Fatal(err)
	}
	if master, err := escrow.MasterOf(wrapped); err != nil || master != id || id != k.ID() {
		t.Fatalf("wrapped by %q, said %q, the keeper is %q: %v", master, id, k.ID(), err)
	}
	return wrapped
}

// What was sealed opens, for its own certificate and address and nothing else,
// and never shows the key.
func TestSealAndOpen(t *testing.T) {
	big, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	k := open(t, keyFile(t))
	for _, key := range []crypto.Signer{newKey(t), big} {
		wrapped := sealed(t, k, key, 1, anna)
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i+16 <= len(der); i += 16 {
			if bytes.Contains(wrapped, der[i:i+16]) {
				t.Fatalf("the wrapped key has bytes %d to %d of the key", i, i+16)
			}
		}
		got, err := escrow.Open(t.Context(), k, wrapped, [32]byte{1}, anna, key.Public())
		if err != nil || !got.(interface{ Equal(crypto.PrivateKey) bool }).Equal(key) {
			t.Fatalf("%T opens as %T: %v", key, got, err)
		}
		if _, err := escrow.Open(t.Context(), k, wrapped, [32]byte{2}, anna, key.Public()); !errors.Is(err, escrow.ErrOpen) {
			t.Errorf("it opens for another certificate: %v", err)
		}
		if _, err := escrow.Open(t.Context(), k, wrapped, [32]byte{1}, "bob@example.org", key.Public()); !errors.Is(err, escrow.ErrOpen) {
			t.Errorf("it opens for another address: %v", err)
		}
		if _, err := escrow.Open(t.Context(), k, wrapped, [32]byte{1}, anna, newKey(t).Public()); !errors.Is(err, escrow.ErrMismatch) {
			t.Errorf("it opens beside another public key: %v", err)
		}
		if bytes.Equal(wrapped, sealed(t, k, key, 1, anna)) {
			t.Error("wrapping twice gives the same bytes")
		}
	}
}

// A bit that is changed anywhere, and bytes that are missing, are noticed.
func TestDamage(t *testing.T) {
	k, key := open(t, keyFile(t)), newKey(t)
	wrapped := sealed(t, k, key, 1, anna)
	for i := range wrapped {
		bad := bytes.Clone(wrapped)
		bad[i] ^= 1
		if _, err := k.Unwrap(t.Context(), bad, escrow.Bound([32]byte{1}, anna)); !errors.Is(err, escrow.ErrOpen) && !errors.Is(err, escrow.ErrUnknownKey) {
			t.Errorf("byte %d changed: %v", i, err)
		}
		if _, err := k.Unwrap(t.Context(), wrapped[:i], escrow.Bound([32]byte{1}, anna)); err == nil {
			t.Errorf("cut after %d bytes, it opens", i)
		}
	}
	if _, err := escrow.Open(t.Context(), nothing{}, wrapped, [32]byte{1}, anna, key.Public()); !errors.Is(err, escrow.ErrOpen) {
		t.Errorf("a keeper that gives other bytes: %v", err)
	}
}

// nothing is a keeper that is none.
type nothing struct{}

func (nothing) ID() string { return "nothing" }
func (nothing) Wrap(_ context.Context, key, _ []byte) ([]byte, error) {
	return append([]byte("SPE1\x07nothing\x00\x00"+strings.Repeat("s", 32)), key...), nil
}
func (nothing) Unwrap(context.Context, []byte, []byte) ([]byte, error) { return []byte("no key"), nil }

func TestSealRefuses(t *testing.T) {
	if _, _, err := escrow.Seal(t.Context(), nothing{}, newKey(t), [32]byte{1}, anna); err == nil {
		t.Error("a keeper that does not wrap is believed")
	}
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	k := open(t, keyFile(t))
	wrapped := sealed(t, k, private, 1, anna)
	if _, err := escrow.Open(t.Context(), k, wrapped, [32]byte{1}, anna, private.Public()); !errors.Is(err, escrow.ErrMismatch) {
		t.Errorf("a key that no mail can be sealed to opens: %v", err)
	}
}

// Whoever has another master key, or none, opens nothing.
func TestForeignMaster(t *testing.T) {
	path := keyFile(t)
	key := newKey(t)
	wrapped := sealed(t, open(t, path), key, 1, anna)
	other := keyFile(t)
	if _, err := open(t, other).Unwrap(t.Context(), wrapped, escrow.Bound([32]byte{1}, anna)); !errors.Is(err, escrow.ErrUnknownKey) {
		t.Errorf("another master key: %v", err)
	}
	// One that claims the name of the right one.
	mine, theirs := readLine(t, path), readLine(t, other)
	forged := strings.Join([]string{mine[0], mine[1], mine[2], theirs[3]}, " ")
	if err := os.WriteFile(other, []byte(forged), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := escrow.OpenFile(other, nil); !errors.Is(err, escrow.ErrMaster) {
		t.Errorf("a forged name: %v", err)
	}
}

// readLine gives the fields of a file's only key.
func readLine(t testing.TB, path string) []string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "#") {
			return strings.Fields(line)
		}
	}
	t.Fatal("no key")
	return nil
}

// A key is added, used, and the old one dropped, while a keeper has the file
// open: it always opens everything whose key is in the file.
func TestRotationWithoutRestart(t *testing.T) {
	path, key := keyFile(t), newKey(t)
	var log bytes.Buffer
	k, err := escrow.OpenFile(path, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	before, first := sealed(t, k, key, 1, anna), k.ID()
	m, err := escrow.AddMaster(path, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if k.ID() != first {
		t.Error("a key that was only added wraps")
	}
	if err := escrow.UseMaster(path, m.ID); err != nil || k.ID() != m.Name() {
		t.Fatalf("the keeper wraps with %s, not %s: %v", k.ID(), m.Name(), err)
	}
	again, id, err := escrow.Rewrap(t.Context(), k, before, [32]byte{1}, anna)
	if err != nil || id != m.Name() {
		t.Fatalf("wrapped by %s: %v", id, err)
	}
	if err := escrow.DropMaster(path, m.ID); !errors.Is(err, escrow.ErrLast) {
		t.Errorf("the key that wraps is dropped: %v", err)
	}
	if err := escrow.DropMaster(path, strings.TrimPrefix(first, "file:")); err != nil {
		t.Fatal(err)
	}
	if _, err := escrow.Open(t.Context(), k, again, [32]byte{1}, anna, key.Public()); err != nil {
		t.Error(err)
	}
	if _, err := escrow.Open(t.Context(), k, before, [32]byte{1}, anna, key.Public()); !errors.Is(err, escrow.ErrUnknownKey) {
		t.Errorf("a dropped master key opens: %v", err)
	}
	if err := escrow.DropMaster(path, "0000"); !errors.Is(err, escrow.ErrNotInFile) {
		t.Error(err)
	}
	if err := escrow.UseMaster(path, "0000"); !errors.Is(err, escrow.ErrNotInFile) {
		t.Error(err)
	}
	// The file goes away, and damaged ones come: what was read stays in use, and the
	// log says so without showing any of it.
	secret := readLine(t, path)[3]
	for _, trouble := range []func() error{
		func() error { return os.Rename(path, path+".away") },
		func() error { return os.WriteFile(path, []byte("sealpost-escrow-key-1 x "+secret), 0o600) },
	} {
		log.Reset()
		if err := trouble(); err != nil {
			t.Fatal(err)
		}
		if _, err := escrow.Open(t.Context(), k, again, [32]byte{1}, anna, key.Public()); err != nil {
			t.Error(err)
		}
		_ = k.ID()
		if n := strings.Count(log.String(), "level=ERROR"); n != 1 || strings.Contains(log.String(), secret) {
			t.Errorf("%d errors in the log:\n%s", n, log.String())
		}
	}
	if err := os.Rename(path+".away", path); err != nil {
		t.Fatal(err)
	}
	if k.ID() != m.Name() {
		t.Error("the file is not read again")
	}
}

// Many wrap and unwrap while keys are added and used.
func TestManyAtOnce(t *testing.T) {
	path := keyFile(t)
	k := open(t, path)
	var group sync.WaitGroup
	for n := range 8 {
		group.Go(func() {
			key := newKey(t)
			for range 30 {
				wrapped, _, err := escrow.Seal(t.Context(), k, key, [32]byte{byte(n)}, anna)
				if err == nil {
					_, err = escrow.Open(t.Context(), k, wrapped, [32]byte{byte(n)}, anna, key.Public())
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 5 {
		m, err := escrow.AddMaster(path, time.Now())
		if err == nil {
			err = escrow.UseMaster(path, m.ID)
		}
		if err != nil {
			t.Error(err)
		}
	}
	group.Wait()
}

// Of those who change the file at once, some are told to come again; what the
// others did is all there. What one leaves behind who is killed is named.
func TestChangedAtOnce(t *testing.T) {
	path := keyFile(t)
	var mu sync.Mutex
	var group sync.WaitGroup
	added := map[string]bool{}
	for range 8 {
		group.Go(func() {
			for range 10 {
				m, err := escrow.AddMaster(path, time.Now())
				if err != nil {
					if !errors.Is(err, escrow.ErrBusy) {
						t.Error(err)
					}
					continue
				}
				mu.Lock()
				added[m.ID] = true
				mu.Unlock()
			}
		})
	}
	group.Wait()
	ring, err := escrow.ReadFile(path)
	if err != nil || len(ring) != len(added)+1 || len(added) == 0 {
		t.Errorf("%d keys were added, %d are there: %v", len(added), len(ring)-1, err)
	}
	left := filepath.Join(filepath.Dir(path), ".escrow.key.new")
	if err := os.WriteFile(left, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := escrow.AddMaster(path, time.Now()); !errors.Is(err, escrow.ErrBusy) || !strings.Contains(err.Error(), left) {
		t.Errorf("%v", err)
	}
	if err := os.Remove(left); err != nil {
		t.Fatal(err)
	}
	if err := escrow.UseMaster(path, "0000"); !errors.Is(err, escrow.ErrNotInFile) {
		t.Error(err)
	}
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a change that failed leaves a file: %v", err)
	}
}

func TestFilesThatAreNone(t *testing.T) {
	path := keyFile(t)
	line := strings.Join(readLine(t, path), " ")
	if _, err := escrow.CreateFile(path, time.Now()); !errors.Is(err, os.ErrExist) {
		t.Errorf("a file of master keys is overwritten: %v", err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	secret := strings.Fields(line)[3]
	for name, c := range map[string]struct {
		text string
		want error
	}{
		"empty":           {"", escrow.ErrNoMaster},
		"only comments":   {"# nothing\n\n", escrow.ErrNoMaster},
		"another program": {"AGE-SECRET-KEY-1", escrow.ErrMaster},
		"cut":             {line[:len(line)-4], escrow.ErrMaster},
		"a letter wrong":  {strings.Replace(line, secret[:1], string(secret[0]^1), 1), escrow.ErrMaster},
		"too long":        {strings.Repeat("#\n", 40000) + line, escrow.ErrMaster},
		"short key":       {strings.Replace(line, secret, base64.StdEncoding.EncodeToString([]byte("short")), 1), escrow.ErrMaster},
		"no date":         {strings.Replace(line, strings.Fields(line)[2], "today", 1), escrow.ErrMaster},
		"twice":           {line + "\n" + line, nil},
	} {
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := escrow.OpenFile(path, nil)
		if err == nil || c.want != nil && !errors.Is(err, c.want) || strings.Contains(err.Error(), secret[:20]) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := escrow.OpenFile(path+".none", nil); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

// A master key does not show itself where somebody prints it.
func TestMasterIsNotPrinted(t *testing.T) {
	path := keyFile(t)
	ring, err := escrow.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := base64.StdEncoding.DecodeString(readLine(t, path)[3])
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{fmt.Sprintf("%v", ring), fmt.Sprintf("%+v", ring[0]), fmt.Sprintf("%#v", ring), fmt.Sprint(&ring[0])} {
		if text != "["+ring[0].Name()+"]" && text != ring[0].Name() && !strings.HasPrefix(text, "[]escrow.Master{file:") || strings.Contains(text, fmt.Sprint(raw[0])+" "+fmt.Sprint(raw[1])) {
			t.Errorf("printed as %s", text)
		}
	}
}

// FuzzUnwrap: what opens is what was wrapped.
func FuzzUnwrap(f *testing.F) {
	k := open(f, keyFile(f))
	bound := escrow.Bound([32]byte{1}, anna)
	good, err := k.Wrap(context.Background(), []byte("the key"), bound)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add([]byte("SPE1\x00\xff\xff"))
	f.Fuzz(func(t *testing.T, wrapped []byte) {
		key, err := k.Unwrap(t.Context(), wrapped, bound)
		if err == nil && (string(key) != "the key" || !bytes.Equal(wrapped, good)) {
			t.Errorf("%x opens", wrapped)
		}
		if master, err := escrow.MasterOf(wrapped); (err == nil) != (master != "") {
			t.Errorf("%q, %v", master, err)
		}
	})
}
