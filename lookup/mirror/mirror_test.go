package mirror

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"sealpost/internal/testkit"
	"sealpost/lookup/keydb"
)

func TestCopyIsTheDirectory(t *testing.T) {
	d, file := filled(t, 57)
	m := mustOpen(t, Options{File: file})
	d.check(t, m)
	d.set("p3@example.org", 2) // another
	d.set("p4@example.org", 0) // gone
	d.set("p4@example.org", 0)
	d.set("new@example.org", 1)
	d.set("never@example.org", 0)
	pull(t, m, d, 2)
	d.check(t, m)
	mustClose(t, m)
	m = mustOpen(t, Options{File: file})
	d.check(t, m)
	if got := m.Cursor(); got != fmt.Sprintf("E.%d", d.seq) {
		t.Errorf("goes on from %s", got)
	}
}

func TestAnIncompleteCopyDeniesNothing(t *testing.T) {
	d, file := newDirectory("E"), newFile(t)
	m := mustOpen(t, Options{File: file})
	_, _, err := m.Get("p@example.org")
	is(t, err, ErrIncomplete)
	d.set("p@example.org", 1)
	d.set("q@example.org", 1)
	page, _ := d.page("", 1)
	if err := m.Apply(page); err != nil {
		t.Fatal(err)
	}
	mustClose(t, m)
	m = mustOpen(t, Options{File: file})
	if _, known, err := m.Get("p@example.org"); !known || err != nil || m.Complete() {
		t.Errorf("what is there: %v, %v, complete %v", known, err, m.Complete())
	}
	if s := m.State(); s.Lag() != 1 || s.Entries != 1 {
		t.Errorf("%+v", s)
	}
	_, _, err = m.Get("q@example.org")
	is(t, err, ErrIncomplete)
	pull(t, m, d, 1)
	d.check(t, m)
}

func TestPagesThatDoNotFollowChangeNothing(t *testing.T) {
	d, file := filled(t, 5)
	m := mustOpen(t, Options{File: file})
	change := func(seq uint64) keydb.Change { return keydb.Change{Seq: seq, Address: "p1@example.org"} }
	for name, page := range map[string]keydb.Page{
		"an old change":       {Changes: []keydb.Change{change(5)}, Next: "E.9", Sequence: 9},
		"changes mixed up":    {Changes: []keydb.Change{change(8), change(7)}, Next: "E.9", Sequence: 9},
		"a change twice":      {Changes: []keydb.Change{change(7), change(7)}, Next: "E.9", Sequence: 9},
		"a change to come":    {Changes: []keydb.Change{change(10)}, Next: "E.9", Sequence: 9},
		"no cursor":           {Changes: []keydb.Change{change(7)}, Sequence: 9},
		"the cursor as it is": {Changes: []keydb.Change{change(7)}, Next: "E.5", Sequence: 9},
		"empty, not the end":  {Next: "E.6", Sequence: 9},
	} {
		t.Run(name, func(t *testing.T) {
			is(t, m.Apply(page), ErrOrder)
			d.check(t, m)
		})
	}
	is(t, m.Apply(keydb.Page{Next: "E.5", Sequence: 4, Complete: true}), errRewound)
}

func TestOneProcessWritesOthersRead(t *testing.T) {
	d, file := filled(t, 20)
	m := mustOpen(t, Options{File: file})
	_, err := Open(quiet(Options{File: file}))
	is(t, err, ErrLocked)
	reader := mustOpen(t, Options{File: file, ReadOnly: true})
	d.check(t, reader)
	d.set("p3@example.org", 1)
	pull(t, m, d, 10)
	later := mustOpen(t, Options{File: file, ReadOnly: true})
	d.check(t, later)
	is(t, later.Apply(keydb.Page{}), ErrReadOnly)
	is(t, later.Follow(t.Context(), d), ErrReadOnly)
	if err := m.compact(m.current.Load()); err != nil {
		t.Fatal(err)
	}
	d.check(t, later) // reads on in the file that is gone
	d.check(t, mustOpen(t, Options{File: file, ReadOnly: true}))
	d.check(t, m)
}

func TestWhatCannotBeOpened(t *testing.T) {
	file := newFile(t)
	_, err := Open(quiet(Options{File: file, ReadOnly: true}))
	is(t, err, fs.ErrNotExist)
	write := func(data []byte) {
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write([]byte("the only copy of a book"))
	_, err = Open(quiet(Options{File: file}))
	is(t, err, ErrForeign)
	if data, _ := os.ReadFile(file); string(data) != "the only copy of a book" {
		t.Errorf("it was written to: %q", data)
	}
	header := encodeHeader(newID(), time.Now())
	header[16] = 9
	copy(header[headerSize-4:], le32(checksum(header[:headerSize-4])))
	write(header)
	_, err = Open(quiet(Options{File: file}))
	is(t, err, ErrVersion)
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/passwd", file); err != nil {
		t.Fatal(err)
	}
	_, err = Open(quiet(Options{File: file}))
	is(t, err, ErrForeign)
	_, err = Open(quiet(Options{File: file + "/no/such/folder"}))
	if err == nil {
		t.Error("opened in a folder that is not there")
	}
}

func le32(v uint32) []byte { return []byte{byte(v), byte(v >> 8), byte(v >> 16), byte(v >> 24)} }

func TestFilesArePrivate(t *testing.T) {
	_, file := filled(t, 3)
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	mustOpen(t, Options{File: file})
	for _, p := range []string{file, file + indexSuffix, file + ".lock"} {
		if st, err := os.Stat(p); err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", p, st.Mode(), err)
		}
	}
}

func TestContactOutlivesARestart(t *testing.T) {
	d, file := newDirectory("E"), newFile(t)
	d.set("p@example.org", 1)
	now := time.Unix(1800000000, 0)
	opts := Options{File: file, Clock: func() time.Time { return now }}
	m := mustOpen(t, opts)
	if !m.LastContact().IsZero() {
		t.Error("in contact before any")
	}
	pull(t, m, d, 10)
	size := m.State().Bytes
	now = now.Add(30 * time.Second)
	pull(t, m, d, 10)
	if !m.LastContact().Equal(now) || m.State().Bytes != size {
		t.Errorf("%v; the file grew by %d bytes", m.LastContact(), m.State().Bytes-size)
	}
	now = now.Add(time.Minute)
	pull(t, m, d, 10)
	mustClose(t, m)
	m = mustOpen(t, opts)
	if !m.LastContact().Equal(now) {
		t.Errorf("%v, want %v", m.LastContact(), now)
	}
	mustClose(t, m)
	now = now.Add(-time.Hour) // the clock was wrong, and is put right
	m = mustOpen(t, opts)
	if m.LastContact().After(now) {
		t.Error("in contact in the future: it would never grow stale")
	}
}

func TestChangesAreTold(t *testing.T) {
	d, file := newDirectory("E"), newFile(t)
	var told []string
	var m *Mirror
	m = mustOpen(t, Options{File: file, Changed: func(addresses []string) {
		for _, a := range addresses {
			if _, known, _ := m.Get(a); !known {
				t.Errorf("%s was told of before it could be read", a)
			}
		}
		told = append(told, addresses...)
	}})
	d.set("p@example.org", 1)
	d.set("q@example.org", 1)
	pull(t, m, d, 1)
	pull(t, m, d, 1)
	if fmt.Sprint(told) != "[p@example.org q@example.org]" {
		t.Error(told)
	}
}

func TestWait(t *testing.T) {
	d, file := filled(t, 3)
	m := mustOpen(t, Options{File: file})
	if err := m.Wait(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	is(t, m.Wait(ctx, 4), context.Canceled)
	done := make(chan error)
	go func() { done <- m.Wait(t.Context(), 4) }()
	d.set("p@example.org", 1)
	pull(t, m, d, 1)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestCompactionKeepsTheFileSmall(t *testing.T) {
	d, file := filled(t, 2000)
	m := mustOpen(t, Options{File: file})
	start, first := m.State().Bytes, m.current.Load().id
	for round := range 30 {
		for i := range 2000 {
			if (i+round)%3 == 0 {
				d.set(fmt.Sprintf("p%d@example.org", i), 1+i%3)
			}
		}
		pull(t, m, d, pageSize)
	}
	d.check(t, m)
	if m.current.Load().id == first {
		t.Error("it was never compacted")
	}
	if now := m.State().Bytes; now > 2*start+2*minGarbage {
		t.Errorf("%d bytes at first, %d now", start, now)
	}
	mustClose(t, m)
	d.check(t, mustOpen(t, Options{File: file}))
	if _, err := os.Stat(file + ".compact"); err == nil {
		t.Error("the file in the making is left")
	}
}

func TestReadersGoOnWhileFilesAreExchanged(t *testing.T) {
	d, file := filled(t, 200)
	m := mustOpen(t, Options{File: file})
	stop, done := make(chan struct{}), make(chan int)
	for range 2 {
		go func() {
			n := 0
			defer func() { done <- n }()
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, known, err := m.Get(fmt.Sprintf("p%d@example.org", n%200)); !known || err != nil {
					t.Errorf("p%d: %v, %v", n%200, known, err)
					return
				}
				n++
			}
		}()
	}
	for range 50 {
		m.writing.Lock()
		if err := m.compact(m.current.Load()); err != nil {
			t.Error(err)
		}
		m.writing.Unlock()
		d.set("p7@example.org", 1)
		pull(t, m, d, 10)
	}
	close(stop)
	if a, b := <-done, <-done; a == 0 || b == 0 {
		t.Error("nobody read")
	}
	testkit.Poll(t, "the state", func() bool { return m.State().Entries == 200 })
}

// Level is what lookups in front of the directory itself rely on: not only whole,
// but not behind.
func TestLevel(t *testing.T) {
	m := mustOpen(t, Options{File: filepath.Join(t.TempDir(), "mirror")})
	page := func(seq, directory uint64, complete bool) {
		t.Helper()
		address := fmt.Sprintf("user%d@example.org", seq)
		if err := m.Apply(keydb.Page{
			Changes: []keydb.Change{{Seq: seq, Address: address, Certificates: []keydb.Certificate{certificate(address, "E", seq, 0)}}},
			Next:    fmt.Sprintf("E.%d", seq), Sequence: directory, Complete: complete,
		}); err != nil {
			t.Fatal(err)
		}
	}
	want := func(level bool) {
		t.Helper()
		if s := m.State(); m.Level() != level {
			t.Errorf("level %v with %+v", m.Level(), s)
		}
	}
	want(false)
	page(1, 5, false)
	want(false)
	page(2, 2, true)
	want(true)
	page(3, 9, false) // whole still, and behind
	want(false)
	page(9, 9, true)
	want(true)
	m.current.Load().hurt.Store(true)
	want(false)
}
