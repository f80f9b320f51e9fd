package store_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"sealpost/directory/store"
	"sealpost/internal/testkit"
)

// writerURL makes the test program a process that only writes, until it is
// killed (see TestMain).
const writerURL = "SEALPOST_TEST_WRITER"

// writeUntilKilled adds certificates and revokes some, and prints the number of
// the first address that is not surely there.
func writeUntilKilled(url string) error {
	var t failing
	w := &world{url: url, now: time.Now(), ca: testkit.NewCA(t)}
	m := newMould(t, w.ca)
	s, err := store.Open(context.Background(), store.Options{URL: url})
	if err != nil {
		return err
	}
	first, err := strconv.Atoi(os.Getenv("FIRST"))
	if err != nil {
		return err
	}
	for n := first; ; {
		list := m.list(t, n+1+rand.IntN(20))[n:]
		list[0].Origin = store.OriginIssued // revoking it is recorded
		added, err := s.Add(context.Background(), list)
		if err != nil {
			return err
		}
		if err := s.SetStatus(context.Background(), added[0].Fingerprint, store.StatusRevoked, "every first one"); err != nil {
			return err
		}
		n += len(list)
		fmt.Println(n)
	}
}

// failing ends the process, for what wants a test.
type failing struct{ testing.TB }

func (failing) Helper()           {}
func (failing) Fatal(args ...any) { panic(fmt.Sprint(args...)) }

// A process that writes is killed again and again. What it said is there, all of
// it can be read, and who follows ends with what there is.
func TestKilledWhileWriting(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		reader := w.open(t)
		f := newFollower()
		first := 0
		for round := range 8 {
			first = max(first, writeAndKill(t, w.url, first, time.Duration(1+rand.IntN(60))*time.Millisecond))
			for !f.follow(t, reader, 50) {
			}
			for n := range first {
				if _, ok := f.has[mouldName(n)]; !ok {
					t.Fatalf("round %d: number %d of %d is lost", round, n, first)
				}
			}
			// What was written beyond what was told is there whole.
			for _, ok := f.has[mouldName(first)]; ok; _, ok = f.has[mouldName(first)] {
				first++
			}
			compare(t, reader, f)
			recorded(t, reader)
		}
		add(t, reader, store.New{Cert: w.cert(t, anna)}) // no lock was left behind
	})
	t.Run("integrity", func(t *testing.T) {
		w := newWorld(t, kinds[0])
		writeAndKill(t, w.url, 0, 50*time.Millisecond)
		backup := filepath.Join(t.TempDir(), "backup")
		if err := w.open(t).Backup(t.Context(), backup); err != nil {
			t.Fatal(err)
		}
		// Restore reads everything.
		if err := store.Restore(t.Context(), backup, "sqlite:"+filepath.Join(t.TempDir(), "restored")); err != nil {
			t.Error(err)
		}
	})
}

// recorded sees that each revocation has its record in the audit log, and the log
// is whole.
func recorded(t testing.TB, s *store.Store) {
	t.Helper()
	state, err := s.VerifyAudit(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	revoked, err := s.List(t.Context(), store.Filter{Status: store.StatusRevoked, Origin: store.OriginIssued}, [32]byte{}, 10000)
	if err != nil {
		t.Fatal(err)
	}
	n, err := s.RevocationCount(t.Context())
	if err != nil || int(n) != len(revoked) || int(state.Records) != len(revoked) {
		t.Fatalf("%d are revoked, %d for CRL and OCSP, %d in the audit log: %v", len(revoked), n, state.Records, err)
	}
}

// writeAndKill runs a writer for a while after its first word, and gives its last.
func writeAndKill(t testing.TB, url string, first int, after time.Duration) int {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), writerURL+"="+writerName(url), "FIRST="+strconv.Itoa(first))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := 0
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if n, err := strconv.Atoi(lines.Text()); err == nil {
			if said == 0 {
				time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
			}
			said = n
		}
	}
	_ = cmd.Wait() // ended by our signal, which Wait calls an error
	waitForServer(t, url)
	if said == 0 {
		t.Fatal("the writer said nothing")
	}
	return said
}

// writerName makes the server know the writer from others.
func writerName(url string) string {
	if strings.HasPrefix(url, "sqlite:") {
		return url
	}
	return url + "&application_name=writer"
}

// waitForServer lets a server finish what a writer that is gone had told it to
// do: a commit that was under way is made or not.
func waitForServer(t testing.TB, url string) {
	t.Helper()
	if strings.HasPrefix(url, "sqlite:") {
		return
	}
	testkit.Poll(t, "the server to notice that the writer is gone", func() bool {
		n := postgres.Server(t).Run(t, "psql", "-qAt", "-d", url, "-c", "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'writer'")
		return strings.TrimSpace(n) == "0"
	})
}

// A newer schema is refused in words, and so is a file of another program.
func TestForeignDatabases(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		s := w.open(t)
		if err := s.SetVersion(t.Context(), 1000); err != nil {
			t.Fatal(err)
		}
		if _, err := store.Open(t.Context(), store.Options{URL: w.url}); !errors.Is(err, store.ErrNewer) {
			t.Errorf("newer: %v", err)
		}
	})
	file := filepath.Join(t.TempDir(), "other.db")
	if err := store.MakeForeign(file); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Open(t.Context(), store.Options{URL: "sqlite:" + file}); !errors.Is(err, store.ErrForeign) {
		t.Errorf("another program's: %v", err)
	}
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, []byte(strings.Repeat("this is a text\n", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Open(t.Context(), store.Options{URL: "sqlite:" + text}); err == nil {
		t.Error("a text file is opened")
	}
	for _, url := range []string{"", "mysql://x", "sqlite:", "sqlite:/nowhere/at/all.db"} {
		if _, err := store.Open(t.Context(), store.Options{URL: url}); err == nil {
			t.Errorf("%q is opened", url)
		}
	}
}

// Many open an empty database at once: all get the same one.
func TestOpenedAtOnce(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		const n = 8
		opened := make(chan *store.Store, n)
		for range n {
			go func() {
				s, err := store.Open(context.Background(), store.Options{URL: w.url})
				if err != nil {
					t.Error(err)
				}
				opened <- s
			}()
		}
		epochs := map[string]bool{}
		for range n {
			if s := <-opened; s != nil {
				epochs[s.Epoch()] = true
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			}
		}
		if len(epochs) != 1 {
			t.Errorf("epochs %v", epochs)
		}
	})
}
