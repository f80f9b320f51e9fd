package mirror

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"sealpost/lookup/keydb"
)

var errDisk = errors.New("no space left on this disk")

// A faulty disk fails once, at the operation that is due.
type faulty struct {
	op    string // "write", "short", "sync", "read", "truncate"
	after int    // operations of this kind that still succeed
}

func (d *faulty) due(op string) bool {
	if d.op != op {
		return false
	}
	d.after--
	return d.after == -1
}

func (d *faulty) open(path string, flag int) (file, error) {
	f, err := openFile(path, flag)
	return &faultyFile{f, d}, err
}

type faultyFile struct {
	file
	disk *faulty
}

func (f *faultyFile) WriteAt(p []byte, off int64) (int, error) {
	if f.disk.due("write") {
		return 0, errDisk
	}
	if f.disk.due("short") {
		n, _ := f.file.WriteAt(p[:len(p)/2], off)
		return n, errDisk
	}
	return f.file.WriteAt(p, off)
}

func (f *faultyFile) ReadAt(p []byte, off int64) (int, error) {
	if f.disk.due("read") {
		return 0, errDisk
	}
	return f.file.ReadAt(p, off)
}

func (f *faultyFile) Sync() error {
	if f.disk.due("sync") {
		return errDisk
	}
	return f.file.Sync()
}

func (f *faultyFile) Truncate(n int64) error {
	if f.disk.due("truncate") {
		return errDisk
	}
	return f.file.Truncate(n)
}

// TestFullDisk: nothing of the page is applied, and the next attempt succeeds.
func TestFullDisk(t *testing.T) {
	for _, op := range []string{"write", "short"} {
		d, file := filled(t, 20)
		disk := &faulty{}
		m := mustOpen(t, Options{File: file, opener: disk.open})
		before, _ := d.page("E.0", 100)
		d.set("p3@example.org", 1)
		page, _ := d.page(m.Cursor(), 10)
		disk.op, disk.after = op, 0
		is(t, m.Apply(page), errDisk)
		for _, c := range before.Changes {
			if got, known, err := m.Get(c.Address); !known || err != nil || !sameCertificates(got, c.Certificates) {
				t.Errorf("%s: %s: %v, %v", op, c.Address, known, err)
			}
		}
		if st, err := os.Stat(file); err != nil || st.Size() != m.State().Bytes {
			t.Errorf("%s: the half of a page is left: %v", op, err)
		}
		pull(t, m, d, 10)
		d.check(t, m)
		mustClose(t, m)
		d.check(t, mustOpen(t, Options{File: file}))
	}
}

// TestFailedSync: it is not known what the disk has, so the copy is not trusted
// with more, and is made anew.
func TestFailedSync(t *testing.T) {
	d, file := filled(t, 20)
	disk := &faulty{}
	m := mustOpen(t, Options{File: file, opener: disk.open})
	d.set("p3@example.org", 1)
	page, _ := d.page(m.Cursor(), 10)
	disk.op, disk.after = "sync", 0
	is(t, m.Apply(page), errSync)
	is(t, m.Apply(page), ErrDamaged)
	if _, known, err := m.Get("p4@example.org"); !known || err != nil {
		t.Errorf("what is proven is still good: %v, %v", known, err)
	}
	steps(t, m, d, 4)
	d.check(t, m)
}

func TestReadError(t *testing.T) {
	d, file := filled(t, 20)
	disk := &faulty{}
	m := mustOpen(t, Options{File: file, opener: disk.open})
	disk.op, disk.after = "read", 0
	_, _, err := m.Get("p3@example.org")
	is(t, err, errDisk)
	_, _, err = m.Get("nobody@example.org")
	is(t, err, ErrDamaged)
	steps(t, m, d, 4)
	d.check(t, m)
}

// TestFaultAnywhere lets each operation fail once on the way of a mirror
// through filling, changing, compaction, and another history.
func TestFaultAnywhere(t *testing.T) {
	for _, op := range []string{"write", "short", "sync", "read", "truncate"} {
		for after := range 25 {
			name := fmt.Sprintf("%s %d", op, after)
			d, file, disk := newDirectory("E"), newFile(t), &faulty{op: op, after: after}
			for i := range 30 {
				d.set(fmt.Sprintf("p%d@example.org", i), i%3)
			}
			m, err := Open(quiet(Options{File: file, opener: disk.open}))
			if errors.Is(err, errDisk) {
				m, err = Open(quiet(Options{File: file, opener: disk.open}))
			}
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			steps(t, m, d, 8)
			disk.op = "" // the test itself reads without faults
			d.check(t, m)
			d.set("p3@example.org", 1)
			disk.op = op
			if err := m.compact(m.current.Load()); err != nil && !errors.Is(err, errDisk) {
				t.Fatalf("%s: compaction: %v", name, err)
			}
			steps(t, m, d, 8)
			disk.op = "" // the test itself reads without faults
			d.check(t, m)
			disk.op = op
			d.epoch, d.seq, d.now = "F", 0, map[string]keydb.Change{}
			d.set("new@example.org", 2)
			steps(t, m, d, 8)
			disk.op = "" // the test itself reads without faults
			d.check(t, m)
			if err := m.Close(); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			m = mustOpen(t, Options{File: file})
			d.check(t, m)
		}
	}
}

// steps follows the directory without resting.
func steps(t testing.TB, m *Mirror, feed Feed, n int) {
	t.Helper()
	f := follower{m: m, feed: feed}
	for range n {
		f.step(t.Context())
	}
}
