package provision_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/x509"
	"database/sql"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"sealpost/directory/escrow"
	"sealpost/directory/provision"
	"sealpost/directory/store"
	"sealpost/internal/certificate"
)

// Two nodes on one PostgreSQL are asked by many at the same moment for the same
// addresses: one key each, the same answer for all, created told once.
func TestTwoNodesOneKey(t *testing.T) {
	w := newWorld(t)
	w.url = postgres.Server(t).Database(t)
	nodes := []*provision.Engine{w.engine(t, w.open(t), nil), w.engine(t, w.open(t), nil)}
	const addresses, askers = 12, 6
	type answer struct {
		fingerprint [32]byte
		created     bool
	}
	answers := make([][]answer, addresses)
	start := make(chan struct{})
	var mu sync.Mutex
	var group sync.WaitGroup
	for i := range addresses {
		a := parse(t, person(i))
		for j := range askers {
			group.Go(func() {
				<-start
				certs, created, err := nodes[j%2].Provision(context.Background(), provision.Request{Address: a})
				mu.Lock()
				defer mu.Unlock()
				if err != nil || len(certs) != 1 {
					t.Errorf("%s: %d certificates, %v", a, len(certs), err)
					return
				}
				answers[i] = append(answers[i], answer{certs[0].Cert.Fingerprint(), created})
			})
		}
	}
	close(start)
	group.Wait()
	for i, list := range answers {
		created := 0
		for _, a := range list {
			if a.created {
				created++
			}
			if a.fingerprint != list[0].fingerprint {
				t.Errorf("%s: two answers", person(i))
			}
		}
		if created != 1 || len(list) != askers {
			t.Errorf("%s: created %d times, %d answers", person(i), created, len(list))
		}
	}
	if n := w.whole(t, w.open(t)); n != addresses {
		t.Errorf("%d certificates", n)
	}
}

// The master key is rotated while two nodes provision and open keys: nothing ever
// fails, and at the end the old master key is not needed.
func TestRotationWhileServing(t *testing.T) {
	w := newWorld(t)
	s := w.open(t)
	old := w.keeper(t).ID()
	nodes := []*provision.Engine{w.engine(t, s, nil), w.engine(t, w.open(t), nil)}
	stop := make(chan struct{})
	var group sync.WaitGroup
	for i, e := range nodes {
		k := w.keeper(t)
		begun := make(chan struct{})
		group.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				certs, _, err := e.Provision(context.Background(), provision.Request{Address: parse(t, fmt.Sprintf("node%d.%d@example.org", i, n))})
				if err == nil {
					err = unwrap(t, s, k, certs[0].Cert)
				}
				if err != nil {
					t.Error(err)
					return
				}
				if n == 20 {
					close(begun)
				}
			}
		})
		<-begun
	}
	m, err := escrow.AddMaster(w.master, w.now)
	if err == nil {
		err = escrow.UseMaster(w.master, m.ID)
	}
	if err != nil {
		t.Fatal(err)
	}
	k := w.keeper(t)
	for left := int64(1); left > 0; {
		if _, err := provision.Rewrap(t.Context(), s, k, "operator"); err != nil {
			t.Fatal(err)
		}
		c, err := s.CountKeys(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		left = c.Keepers[old]
	}
	close(stop)
	group.Wait()
	if err := escrow.DropMaster(w.master, strings.TrimPrefix(old, "file:")); err != nil {
		t.Fatal(err)
	}
	if n := w.whole(t, s); n < 40 {
		t.Errorf("only %d keys", n)
	}
}

// rotating is a store in front of which somebody rotates the master key, to the
// end, and drops the old one, just before a key is stored.
type rotating struct {
	*store.Store
	rotate func()
}

func (r rotating) Provision(ctx context.Context, n store.NewKey) (store.Provisioned, error) {
	r.rotate()
	return r.Store.Provision(ctx, n)
}

// A key that was wrapped before a rotation and stored after it follows.
func TestRotationBetweenWrappingAndStoring(t *testing.T) {
	w := newWorld(t)
	s := w.open(t)
	old := w.keeper(t).ID()
	e := w.engine(t, rotating{s, func() {
		m, err := escrow.AddMaster(w.master, w.now)
		if err == nil {
			err = errors.Join(escrow.UseMaster(w.master, m.ID), escrow.DropMaster(w.master, strings.TrimPrefix(old, "file:")))
		}
		if err != nil {
			t.Error(err)
		}
	}}, nil)
	ask(t, e, anna)
	if n := w.whole(t, s); n != 1 {
		t.Errorf("%d keys", n)
	}
}

// secretsOf gives what must be nowhere but in the hands of the recipient: each
// secret number of the private keys, in the forms in which it could be written.
func secretsOf(t testing.TB, made []crypto.Signer) (all [][]byte) {
	t.Helper()
	for _, key := range made {
		raw, err := key.(*ecdsa.PrivateKey).Bytes()
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, raw, der[len(der)/2:], []byte(new(big.Int).SetBytes(raw).String()))
	}
	return all
}

// remembering is a pool that remembers what it gave, for the test only.
type remembering struct {
	keys
	made *[]crypto.Signer
}

func (r remembering) Take(ctx context.Context) (crypto.Signer, error) {
	key, err := r.keys.Take(ctx)
	*r.made = append(*r.made, key)
	return key, err
}

// A thief has the database, a backup of it, or a dump: all that is in there, but
// for the file of the master keys. He opens nothing.
func TestStolenDatabase(t *testing.T) {
	thefts := map[string]struct {
		url   func() string
		steal func(t *testing.T, w *world, s *store.Store, loot string)
	}{
		"file": {func() string { return "sqlite:" + filepath.Join(t.TempDir(), "directory.db") }, func(t *testing.T, w *world, _ *store.Store, loot string) {
			for _, suffix := range []string{"", "-wal"} {
				data, err := os.ReadFile(strings.TrimPrefix(w.url, "sqlite:") + suffix)
				if err == nil {
					err = os.WriteFile(loot+suffix, data, 0o600)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
		}},
		"backup": {func() string { return "sqlite:" + filepath.Join(t.TempDir(), "directory.db") }, func(t *testing.T, _ *world, s *store.Store, loot string) {
			if err := s.Backup(t.Context(), loot); err != nil {
				t.Fatal(err)
			}
		}},
		"dump": {func() string { return postgres.Server(t).Database(t) }, func(t *testing.T, w *world, _ *store.Store, loot string) {
			if err := os.WriteFile(loot, []byte(postgres.Server(t).Run(t, "pg_dump", w.url)), 0o600); err != nil {
				t.Fatal(err)
			}
		}},
	}
	for name, theft := range thefts {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.url = theft.url()
			s := w.open(t)
			var made []crypto.Signer
			e := w.engine(t, s, func(o *provision.Options) { o.Pool = remembering{made: &made} })
			secret := "customer 0815-4711"
			if _, _, err := e.Provision(t.Context(), provision.Request{Address: parse(t, anna), Secret: secret}); err != nil {
				t.Fatal(err)
			}
			ask(t, e, "bob@example.org")
			master, err := os.ReadFile(w.master)
			if err != nil {
				t.Fatal(err)
			}
			needles := append(secretsOf(t, made), []byte(secret), []byte("08154711"), master[bytes.LastIndexByte(bytes.TrimSpace(master), ' ')+1:len(master)-1])
			loot := filepath.Join(t.TempDir(), "loot")
			theft.steal(t, w, s, loot)
			wrapped := searchLoot(t, loot, needles)
			if name != "dump" {
				tryToOpen(t, loot)
			}
			if wrapped == 0 {
				t.Error("the loot has no wrapped key: nothing was tried")
			}
		})
	}
}

// searchLoot looks through what was stolen for each of the needles, and counts the
// wrapped keys in it.
func searchLoot(t *testing.T, loot string, needles [][]byte) (wrapped int) {
	t.Helper()
	files, err := filepath.Glob(loot + "*")
	if err != nil || len(files) == 0 {
		t.Fatalf("nothing was stolen: %v", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range needles {
			if bytes.Contains(data, n) || bytes.Contains(data, []byte(fmt.Sprintf("%x", n))) {
				t.Errorf("%s holds %d bytes that must not be there", file, len(n))
			}
		}
		wrapped += bytes.Count(data, []byte("SPE1")) + bytes.Count(data, []byte(fmt.Sprintf("%x", "SPE1")))
	}
	return wrapped
}

// tryToOpen does what a thief would: makes the loot a directory of his own, with
// a master key of his own.
func tryToOpen(t *testing.T, loot string) {
	t.Helper()
	w := newWorld(t)
	w.url = "sqlite:" + loot
	s := w.open(t)
	found, err := s.List(t.Context(), store.Filter{}, [32]byte{}, 100)
	if err != nil || len(found) != 2 {
		t.Fatalf("%d certificates in the loot, %v", len(found), err)
	}
	for _, c := range found {
		if err := unwrap(t, s, w.keeper(t), c.Cert); !errors.Is(err, escrow.ErrUnknownKey) {
			t.Errorf("a stolen key: %v", err)
		}
	}
}

// Whoever can write to the database, and is a recipient himself, gives his own
// address the key of somebody else. It does not open.
func TestSwappedRows(t *testing.T) {
	w := newWorld(t)
	s := w.open(t)
	e := w.engine(t, s, nil)
	victim, _ := ask(t, e, anna)
	thief, _ := ask(t, e, "thief@example.org")
	db, err := sql.Open("sqlite", strings.TrimPrefix(w.url, "sqlite:"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	v, o := victim[0].Cert.Fingerprint(), thief[0].Cert.Fingerprint()
	for _, statement := range []string{
		"UPDATE escrow SET wrapped = (SELECT wrapped FROM escrow WHERE fingerprint = $1) WHERE fingerprint = $2",
		"UPDATE escrow SET address = 'thief@example.org' WHERE fingerprint = $1 OR fingerprint = $2",
	} {
		if _, err := db.Exec(statement, v[:], o[:]); err != nil {
			t.Fatal(err)
		}
		for _, c := range []*certificate.Certificate{victim[0].Cert, thief[0].Cert} {
			err := unwrap(t, s, w.keeper(t), c)
			if key, _ := s.KeyOf(t.Context(), c.Fingerprint()); key.Address == anna {
				continue // hers, untouched
			}
			if !errors.Is(err, escrow.ErrOpen) {
				t.Errorf("after %s, the key of %s opens: %v", statement, c.Addresses, err)
			}
		}
	}
}
