package provision_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"sealpost/directory/ca"
	"sealpost/directory/escrow"
	"sealpost/directory/provision"
	"sealpost/directory/store"
	"sealpost/internal/address"
	"sealpost/internal/testkit"
)

// workerURL makes the test program a process that provisions, until it is killed
// (see TestMain). MASTER is its file of master keys, STEP the step at which it
// kills itself, in the provisioning of the third address; "": it is killed from
// outside.
const workerURL = "SEALPOST_TEST_PROVISIONER"

// The steps of provisioning, in their order.
var steps = []string{"looked up", "key taken", "issued", "wrapped", "before storing", "stored", "notified"}

// die ends the process as a power failure would.
func die() { _ = syscall.Kill(os.Getpid(), syscall.SIGKILL); select {} }

// A mortal is every part of an engine, and dies after one of its steps.
type mortal struct {
	provision.Store
	escrow.Keeper
	issuer
	keys
	step  string
	count *int // addresses that were begun
}

func (m mortal) at(step string) {
	if step == m.step && *m.count == 3 {
		die()
	}
}

func (m mortal) Lookup(ctx context.Context, keys []string) ([][]store.Certificate, error) {
	defer m.at("looked up")
	return m.Store.Lookup(ctx, keys)
}

func (m mortal) Take(ctx context.Context) (crypto.Signer, error) {
	defer m.at("key taken")
	return m.keys.Take(ctx)
}

func (m mortal) Issue(r ca.Request) ([]byte, error) {
	defer m.at("issued")
	return m.issuer.Issue(r)
}

func (m mortal) Wrap(ctx context.Context, key, bound []byte) ([]byte, error) {
	defer m.at("wrapped")
	return m.Keeper.Wrap(ctx, key, bound)
}

func (m mortal) Provision(ctx context.Context, n store.NewKey) (store.Provisioned, error) {
	m.at("before storing")
	defer m.at("stored")
	return m.Store.Provision(ctx, n)
}

// work provisions addresses by their numbers from FIRST on, and prints those that
// were told to the one who asked.
func work(url string) error {
	first, err := strconv.Atoi(os.Getenv("FIRST"))
	if err != nil {
		return err
	}
	s, err := store.Open(context.Background(), store.Options{URL: url})
	if err != nil {
		return err
	}
	k, err := escrow.OpenFile(os.Getenv("MASTER"), nil)
	if err != nil {
		return err
	}
	i, err := newIssuer()
	if err != nil {
		return err
	}
	count := 0
	m := mortal{Store: s, Keeper: k, issuer: i, step: os.Getenv("STEP"), count: &count}
	e, err := provision.New(provision.Options{Store: m, Issuer: m, Pool: m, Keeper: m, Notify: func(context.Context, provision.Notice) { m.at("notified") }})
	if err != nil {
		return err
	}
	for n := first; ; n++ {
		count++
		a, err := address.Parse(person(n))
		if err != nil {
			return err
		}
		if _, _, err := e.Provision(context.Background(), provision.Request{Address: a}); err != nil {
			return err
		}
		fmt.Println(n)
	}
}

func person(n int) string { return fmt.Sprintf("person%d@example.org", n) }

// run starts a worker and gives the number after the last one it told.
func (w *world) run(t testing.TB, url, step string, first int, after time.Duration) int {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), workerURL+"="+url, "MASTER="+w.master, "STEP="+step, "FIRST="+strconv.Itoa(first))
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	next := first
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if number, err := strconv.Atoi(lines.Text()); err == nil && number == next {
			next++
		}
		if step == "" && next > first {
			time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
			step = "killed"
		}
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("the worker was not killed: %v\n%s", err, errs.String())
	}
	return next
}

// whole holds what is stored to the rule: every issued certificate has its key,
// which opens; every key has its certificate; no address has two.
func (w *world) whole(t testing.TB, s *store.Store) (addresses int) {
	t.Helper()
	k := w.keeper(t)
	issued, err := s.List(t.Context(), store.Filter{}, [32]byte{}, 100000)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, c := range issued {
		if c.Origin != store.OriginIssued || len(c.Addresses) != 1 || seen[c.Addresses[0]] {
			t.Errorf("%v: a second certificate, or a strange one", c.Addresses)
		}
		seen[c.Addresses[0]] = true
		if err := unwrap(t, s, k, c.Cert); err != nil {
			t.Errorf("%v: %v", c.Addresses, err)
		}
	}
	counts, err := s.CountKeys(t.Context())
	if err != nil || counts.Unclaimed != int64(len(issued)) {
		t.Errorf("%d keys for %d certificates, %v", counts.Unclaimed, len(issued), err)
	}
	if _, err := s.VerifyAudit(t.Context(), nil); err != nil {
		t.Error(err)
	}
	return len(issued)
}

// Killed after each step of provisioning, on both databases: never a certificate
// without its key, never two; and the next one who asks gets one.
func TestKilledBetweenSteps(t *testing.T) {
	for name, url := range map[string]func() string{
		"sqlite":   func() string { return "sqlite:" + filepath.Join(t.TempDir(), "directory.db") },
		"postgres": func() string { return postgres.Server(t).Database(t) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.url = url()
			s := w.open(t)
			for i, step := range steps {
				first := i * 10
				if told := w.run(t, w.url, step, first, 0); told != first+2 {
					t.Fatalf("%s: told up to %d", step, told)
				}
				waitForServer(t, w.url)
				stored := 2
				if step == "stored" || step == "notified" {
					stored = 3
				}
				if n := w.whole(t, s); n != i*3+stored {
					t.Errorf("%s: %d certificates, want %d", step, n, i*3+stored)
				}
				// Who asks again gets the one that is there, or a new one.
				_, created := ask(t, w.engine(t, s, nil), person(first+2))
				if created != (stored == 2) {
					t.Errorf("%s: created %v", step, created)
				}
			}
			w.whole(t, s)
		})
	}
}

// Killed at any moment, inside of the transaction too: the same.
func TestKilledAnytime(t *testing.T) {
	w := newWorld(t)
	for _, url := range []string{w.url, postgres.Server(t).Database(t)} {
		w.url = url
		s := w.open(t)
		next := 0
		for round := range 6 {
			told := w.run(t, url, "", next, time.Duration(1+round*7)*time.Millisecond)
			waitForServer(t, url)
			if n := w.whole(t, s); n != told && n != told+1 {
				t.Fatalf("%d certificates, %d told", n, told)
			}
			next = told
		}
	}
}

// waitForServer lets PostgreSQL finish what a process that is gone had told it to
// do.
func waitForServer(t testing.TB, url string) {
	t.Helper()
	if strings.HasPrefix(url, "sqlite:") {
		return
	}
	testkit.Poll(t, "the server to notice that the worker is gone", func() bool {
		n := postgres.Server(t).Run(t, "psql", "-qAt", "-d", url, "-c", "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%escrow%' AND state LIKE '%transaction%'")
		return strings.TrimSpace(n) == "0"
	})
}
