package mirror

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"sealpost/internal/testkit"
	"sealpost/lookup/keydb"
)

// followerOf makes the test program a process that follows a directory at a URL
// until it is killed; its mirror is the file in followerFile.
const (
	followerOf   = "SEALPOST_TEST_FOLLOWS"
	followerFile = "SEALPOST_TEST_MIRROR"
)

// followUntilKilled prints the cursor whenever a page has been applied: what it
// says is durable.
func followUntilKilled(url string) error {
	client, err := keydb.New(keydb.Options{URL: url})
	if err != nil {
		return err
	}
	m, err := Open(Options{File: os.Getenv(followerFile), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	go func() {
		fmt.Println(m.Cursor())
		for {
			moved := m.moved.wait()
			fmt.Println(m.Cursor())
			<-moved
		}
	}()
	return m.Follow(context.Background(), client)
}

// A chronicle is a directory that is changed all the time, and remembers all
// that it ever said of anybody, by epoch.
type chronicle struct {
	*directory
	past    map[string]map[string][]keydb.Change
	changed chan struct{} // told of changes, when it is listened to
}

func newChronicle() *chronicle {
	return &chronicle{directory: newDirectory("E0"), past: map[string]map[string][]keydb.Change{}, changed: make(chan struct{}, 1)}
}

// write changes somebody. The certificates are so large that the file needs
// compaction.
func (c *chronicle) write(address string, certificates int) {
	c.mu.Lock()
	c.seq++
	now := keydb.Change{Seq: c.seq, Address: address, Certificates: []keydb.Certificate{}}
	for i := range certificates {
		cert := certificate(address, c.epoch, c.seq, i)
		cert.DER = bytes.Repeat(cert.DER, 30)
		cert.SHA256 = sha256.Sum256(cert.DER)
		now.Certificates = append(now.Certificates, cert)
	}
	c.now[address] = now
	if c.past[c.epoch] == nil {
		c.past[c.epoch] = map[string][]keydb.Change{}
	}
	c.past[c.epoch][address] = append(c.past[c.epoch][address], now)
	c.mu.Unlock()
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

// restore begins another history, as a backup does.
func (c *chronicle) restore(epoch string, people int) {
	c.mu.Lock()
	c.epoch, c.seq, c.now = epoch, 0, map[string]keydb.Change{}
	c.mu.Unlock()
	for i := range people {
		c.write(fmt.Sprintf("p%d@example.org", i), 1+i%2)
	}
}

// ServeHTTP is the feed.
func (c *chronicle) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	cursor := r.URL.Query().Get("since")
	limit, _ := strconv.Atoi(r.URL.Query().Get("limit"))
	page, err := c.Changes(r.Context(), cursor, limit, 0)
	if err == nil && len(page.Changes) == 0 && r.URL.Query().Has("wait") {
		select {
		case <-c.changed:
		case <-time.After(time.Second):
		}
		page, err = c.Changes(r.Context(), cursor, limit, 0)
	}
	if errors.Is(err, keydb.ErrCursor) {
		w.Header().Set("Content-Type", keydb.TypeProblem)
		w.WriteHeader(http.StatusGone)
		fmt.Fprint(w, `{"status":410,"reason":"cursor-unknown"}`)
		return
	}
	if err != nil {
		return
	}
	w.Header().Set("Content-Type", keydb.TypeFeed)
	out := keydb.NewPageWriter(w, cursor)
	for _, change := range page.Changes {
		_ = out.Write(change) // who has gone has gone
	}
	_ = out.End(page.Next, page.Complete, page.Sequence)
}

// agrees fails the test unless the mirror says of everybody what the directory
// once said, and of who has not changed since, what it says now.
func (c *chronicle) agrees(t failer, m *Mirror) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	epoch, number, _ := strings.Cut(m.Cursor(), ".")
	at, _ := strconv.ParseUint(number, 10, 64) // 0: nothing has been applied
	for address, all := range c.past[epoch] {
		got, known, err := m.Get(address)
		if errors.Is(err, ErrIncomplete) {
			continue
		}
		if err != nil {
			t.Fatalf("%s: %v", address, err)
		}
		last := all[len(all)-1]
		if last.Seq <= at {
			if known != (len(last.Certificates) > 0) || !sameCertificates(got, last.Certificates) {
				t.Fatalf("%s has not changed since %d, the mirror stands at %d, and has something else", address, last.Seq, at)
			}
			continue
		}
		once := !known
		for _, was := range all {
			once = once || sameCertificates(got, was.Certificates)
		}
		if !once {
			t.Fatalf("%s: the mirror has what the directory never said", address)
		}
	}
	if _, known, _ := m.Get("nobody@example.org"); known {
		t.Fatal("nobody is known")
	}
}

// A process that follows is killed at any moment, while it fills, follows,
// compacts, and makes a new copy. What it said is there; nothing is there that
// the directory never said; and the next one goes on from there to the end.
func TestKilledWhileFollowing(t *testing.T) {
	const people, rounds = 1200, 14
	c, file := newChronicle(), newFile(t)
	c.restore("E0", people)
	server := httptest.NewServer(c)
	defer server.Close()
	resumed := 0
	for round := range rounds {
		if round%6 == 5 {
			c.restore(fmt.Sprintf("E%d", round), people)
		}
		said := c.followAndKill(t, server.URL, file, round%4, time.Duration(rand.IntN(40))*time.Millisecond)
		m := mustOpen(t, Options{File: file})
		c.agrees(t, m)
		if !reaches(m.Cursor(), said) {
			t.Fatalf("round %d: it said that it has %q, and %q is there", round, said, m.Cursor())
		}
		if m.Cursor() != "" {
			resumed++
		}
		mustClose(t, m)
	}
	if resumed == 0 {
		t.Error("it was always killed before its first page: nothing was tried")
	}
	m := mustOpen(t, Options{File: file})
	ctx, cancel := context.WithCancel(t.Context())
	var following sync.WaitGroup
	client, err := keydb.New(keydb.Options{URL: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	following.Go(func() { _ = m.Follow(ctx, client) })
	testkit.Poll(t, "the mirror to have everything", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return m.Level() && m.Cursor() == fmt.Sprintf("%s.%d", c.epoch, c.seq)
	})
	cancel()
	following.Wait()
	c.check(t, m)
}

// reaches reports whether a cursor is not before another one of its history.
func reaches(cursor, said string) bool {
	epoch, number, _ := strings.Cut(cursor, ".")
	before, least, is := strings.Cut(said, ".")
	if !is || epoch != before {
		return !is || epoch > before // the histories of the test rise
	}
	a, _ := strconv.Atoi(number)
	b, _ := strconv.Atoi(least)
	return a >= b
}

// followAndKill runs a follower, while people change, until so many pages and
// some time after, and gives the last cursor that it printed.
func (c *chronicle) followAndKill(t *testing.T, url, file string, pages int, after time.Duration) (said string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), followerOf+"="+url, followerFile+"="+file)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var writing sync.WaitGroup
	writing.Go(func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				for range 20 {
					c.write(fmt.Sprintf("p%d@example.org", rand.IntN(1300)), rand.IntN(3))
				}
			case <-stop:
				return
			}
		}
	})
	lines := bufio.NewScanner(out)
	for n := 0; lines.Scan(); n++ { // the first says that it is open
		if n == pages {
			time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
		}
		said = lines.Text()
	}
	_ = cmd.Wait() // ended by our signal, which Wait calls an error
	close(stop)
	writing.Wait()
	return said
}

// A data file that has lost its last batch, and has grown again since, does not
// fit the table from before, though it is as long as the table wants it.
func TestTableOfLostBatchesStaysForgotten(t *testing.T) {
	c, file := newChronicle(), newFile(t)
	c.restore("E0", 6)
	m := mustOpen(t, Options{File: file})
	pull(t, m, c.directory, 2)
	mustClose(t, m) // with its table
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(file, info.Size()-3); err != nil {
		t.Fatal(err)
	}
	m = mustOpen(t, Options{File: file})
	c.write("p0@example.org", 2)
	c.write("new@example.org", 2)
	pull(t, m, c.directory, 10)
	killed := newFile(t)
	if err := os.CopyFS(filepath.Dir(killed), os.DirFS(filepath.Dir(file))); err != nil {
		t.Fatal(err)
	}
	again := mustOpen(t, Options{File: killed})
	c.agrees(t, again)
	c.check(t, again)
}
