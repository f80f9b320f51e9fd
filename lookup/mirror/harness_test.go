package mirror

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"sealpost/lookup/keydb"
)

// A directory is a feed in memory, as the real one writes it: each address has
// the number of its last change, and an address without certificates stays in
// the feed.
type directory struct {
	mu    sync.Mutex
	epoch string
	seq   uint64
	now   map[string]keydb.Change
	asked int
	// lie, if not nil, may put something else into the place of an answer.
	lie func(cursor string, page keydb.Page, err error) (keydb.Page, error)
}

func newDirectory(epoch string) *directory {
	return &directory{epoch: epoch, now: map[string]keydb.Change{}}
}

// set gives an address so many certificates, new ones each time.
func (d *directory) set(address string, certificates int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.seq++
	c := keydb.Change{Seq: d.seq, Address: address, Certificates: []keydb.Certificate{}}
	for i := range certificates {
		c.Certificates = append(c.Certificates, certificate(address, d.epoch, d.seq, i))
	}
	d.now[address] = c
}

// certificate makes one that is like no other; the mirror does not read it.
func certificate(address, epoch string, seq uint64, i int) keydb.Certificate {
	der := bytes.Repeat(fmt.Appendf(nil, "%s %s %d %d ", epoch, address, seq, i), 1+i*2)
	c := keydb.Certificate{
		DER: der, SHA256: sha256.Sum256(der), Addresses: []string{address}, Key: "RSA 2048", Origin: "harvest",
		NotBefore: time.Unix(1700000000, 0).UTC(), NotAfter: time.Unix(1900000000, 0).UTC(), FirstSeen: time.Unix(1750000000, 0).UTC(),
	}
	if i%2 == 1 {
		c.Addresses = []string{address, "other@example.org"}
		c.Capabilities, c.Key, c.LastSeen = []string{"1.2.3", "2.16.840.1.101.3.4.1.46"}, "brainpoolP256r1", time.Unix(1760000000, 0).UTC()
	}
	return c
}

// Changes implements Feed; it never waits.
func (d *directory) Changes(ctx context.Context, cursor string, limit int, _ time.Duration) (keydb.Page, error) {
	if err := ctx.Err(); err != nil {
		return keydb.Page{}, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked++
	page, err := d.page(cursor, limit)
	if d.lie != nil {
		return d.lie(cursor, page, err)
	}
	return page, err
}

func (d *directory) page(cursor string, limit int) (keydb.Page, error) {
	since := uint64(0)
	if cursor != "" {
		epoch, number, _ := strings.Cut(cursor, ".")
		if _, err := fmt.Sscanf(number, "%d", &since); err != nil || epoch != d.epoch {
			return keydb.Page{}, keydb.ErrCursor
		}
	}
	var all []keydb.Change
	for _, c := range d.now {
		if c.Seq > since {
			all = append(all, c)
		}
	}
	sort.Slice(all, func(i, j int) bool { return all[i].Seq < all[j].Seq })
	page := keydb.Page{Changes: all[:min(len(all), limit)], Sequence: d.seq, Complete: len(all) <= limit}
	if n := len(page.Changes); n > 0 {
		since = page.Changes[n-1].Seq
	}
	page.Next = fmt.Sprintf("%s.%d", d.epoch, since)
	return page, nil
}

// A failer is a test, or a property's.
type failer interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// check compares the mirror with everything the directory knows and knew.
func (d *directory) check(t failer, m *Mirror) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	entries := 0
	for address, want := range d.now {
		got, known, err := m.Get(address)
		if err != nil || known != (len(want.Certificates) > 0) || !sameCertificates(got, want.Certificates) {
			t.Fatalf("%s: %d certificates, known %v, error %v; the directory has %d", address, len(got), known, err, len(want.Certificates))
		}
		if known {
			entries++
		}
	}
	if s := m.State(); s.Entries != entries || s.Lag() != 0 || !s.Complete || !m.Level() {
		t.Fatalf("%d entries in the directory; %+v", entries, s)
	}
	if _, known, err := m.Get("nobody@example.org"); known || err != nil {
		t.Fatalf("nobody: %v, %v", known, err)
	}
}

func sameCertificates(a, b []keydb.Certificate) bool {
	return slices.EqualFunc(a, b, func(a, b keydb.Certificate) bool {
		return bytes.Equal(a.DER, b.DER) && a.SHA256 == b.SHA256 && slices.Equal(a.Addresses, b.Addresses) &&
			slices.Equal(a.Capabilities, b.Capabilities) && a.Key == b.Key && a.Origin == b.Origin &&
			a.NotBefore.Equal(b.NotBefore) && a.NotAfter.Equal(b.NotAfter) && a.FirstSeen.Equal(b.FirstSeen) && a.LastSeen.Equal(b.LastSeen)
	})
}

// pull asks and applies until the mirror is up to date.
func pull(t testing.TB, m *Mirror, d *directory, limit int) {
	t.Helper()
	for {
		page, err := d.Changes(context.Background(), m.Cursor(), limit, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Apply(page); err != nil {
			t.Fatal(err)
		}
		if page.Complete {
			return
		}
	}
}

func newFile(t testing.TB) string { return filepath.Join(t.TempDir(), "mirror.db") }

func quiet(o Options) Options {
	o.Log = slog.New(slog.DiscardHandler)
	return o
}

func mustOpen(t testing.TB, o Options) *Mirror {
	t.Helper()
	m, err := Open(quiet(o))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

func mustClose(t testing.TB, m *Mirror) {
	t.Helper()
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
}

// filled makes a directory of so many people, and a mirror of it.
func filled(t testing.TB, people int) (*directory, string) {
	t.Helper()
	d, file := newDirectory("E"), newFile(t)
	for i := range people {
		d.set(fmt.Sprintf("p%d@example.org", i), 1+i%3)
	}
	m := mustOpen(t, Options{File: file})
	pull(t, m, d, 10)
	mustClose(t, m)
	return d, file
}

// is fails the test unless the error is the one that was wanted.
func is(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error %v, want %v", err, want)
	}
}
