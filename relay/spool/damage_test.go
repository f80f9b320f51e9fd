package spool

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// filled gives a closed store with messages, some of them in other states.
func filled(t *testing.T, count int) (Options, *memFS, *ledger) {
	t.Helper()
	m := newMemFS()
	opt := small(t, m)
	s := mustOpen(t, opt)
	l := newLedger()
	for n := range count {
		id := fmt.Sprintf("id%02d", n)
		if err := l.put(s, message(id, n)); err != nil {
			t.Fatal(err)
		}
		if n%7 == 6 {
			finish(s, l, id, false)
		}
	}
	mustClose(t, s)
	return opt, m, l
}

func (m *memFS) clone() *memFS {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := newMemFS()
	for name, n := range m.files {
		c.files[name] = &inode{data: slices.Clone(n.data), synced: slices.Clone(n.data), dirty: map[int64]bool{}}
	}
	return c
}

// TestBitFlips flips single bits all over the files of a closed store: all
// other messages are intact, and what is not is reported.
func TestBitFlips(t *testing.T) {
	opt, clean, l := filled(t, 40)
	rng := rand.New(rand.NewPCG(3, 4))
	names := slices.Sorted(maps.Keys(clean.files))
	for round := range 400 {
		m := clean.clone()
		name := names[round%len(names)]
		data := m.files[name].data
		if len(data) == 0 {
			continue
		}
		// Half of the flips hit the start, where there is more to break.
		at := rng.IntN(len(data))
		if round%2 == 0 {
			at = rng.IntN(min(len(data), 8<<10))
		}
		data[at] ^= 1 << rng.IntN(8)
		opt.FS = m
		s, err := Open(opt)
		if err != nil {
			t.Fatalf("flip in %s at %d: %v", name, at, err)
		}
		bad := survivors(t, s, l, 1, fmt.Sprintf("flip in %s at %d", name, at))
		if st := s.Stats(); bad > 0 && st.Damages == 0 {
			t.Fatalf("flip in %s at %d: %d messages are bad and nothing was reported", name, at, bad)
		}
		mustClose(t, s)
	}
}

// survivors counts the messages that are not as promised, at most limit.
func survivors(t *testing.T, s *Store, l *ledger, limit int, when string) int {
	t.Helper()
	bad := 0
	for id, e := range l.held {
		err := same(s, e)
		if err == nil {
			continue
		}
		bad++
		if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrNotFound) || bad > limit {
			t.Fatalf("%s: %s: %v, %d are bad", when, id, err, bad)
		}
		if errors.Is(err, ErrDamaged) {
			if info, err := s.Info(id); err != nil || !info.Damaged {
				t.Fatalf("%s: damage is not shown: %+v %v", when, info, err)
			}
		}
	}
	return bad
}

// TestRuins replaces stretches of files with garbage, or cuts them off: no
// panic, no endless search, nothing false, and it is reported.
func TestRuins(t *testing.T) {
	opt, clean, l := filled(t, 40)
	rng := rand.New(rand.NewPCG(5, 6))
	names := slices.Sorted(maps.Keys(clean.files))
	for round := range 200 {
		m := clean.clone()
		name := names[rng.IntN(len(names))]
		n := m.files[name]
		if len(n.data) == 0 || name == formatName {
			continue
		}
		from := rng.IntN(min(len(n.data), 20<<10))
		if round%3 == 0 {
			n.data = n.data[:from]
		} else {
			for i := from; i < min(len(n.data), from+rng.IntN(8<<10)); i++ {
				n.data[i] = byte(rng.Uint32())
			}
		}
		opt.FS = m
		s := mustOpen(t, opt)
		when := fmt.Sprintf("ruin of %s from %d", name, from)
		if bad := survivors(t, s, l, len(l.held), when); bad > 0 && s.Stats().Damages == 0 {
			t.Fatalf("%s: %d messages are bad and nothing was reported", when, bad)
		}
		mustPut(t, s, message("new", 5))
		mustClose(t, s)
		s = mustOpen(t, opt)
		if err := same(s, message("new", 5)); err != nil {
			t.Fatalf("%s: %v", when, err)
		}
		mustClose(t, s)
	}
}

func TestDamageFoundByReading(t *testing.T) {
	ctx := context.Background()
	opt := small(t, nil)
	s := mustOpen(t, opt)
	for _, e := range []Entry{message("small", 1), message("big", 5), message("other", 2)} {
		mustPut(t, s, e)
	}
	for _, pattern := range []string{"segment-*", "body-*"} {
		files, err := filepath.Glob(filepath.Join(opt.Dir, pattern))
		if err != nil || len(files) != 1 {
			t.Fatal(files, err)
		}
		f, err := os.OpenFile(files[0], os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte("xyz"), 900); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	for _, id := range []string{"small", "big"} {
		if _, err := readBody(s, id); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v, want ErrDamaged", id, err)
		}
		if meta, err := s.Meta(id); err != nil || string(meta) != "sender of "+id {
			t.Errorf("%s: the sender cannot be told: %q, %v", id, meta, err)
		}
		if err := s.Delete(ctx, id); err != nil {
			t.Error(err)
		}
	}
	if err := same(s, message("other", 2)); err != nil {
		t.Error(err)
	}
	if st := s.Stats(); st.Quarantined != 2 || st.Damages < 2 {
		t.Errorf("stats %+v", st)
	}
	mustClose(t, s)
	notes, err := os.ReadFile(filepath.Join(opt.Dir, "quarantine", "segment-0000000001@000000000000.json"))
	if err != nil || !strings.Contains(string(notes), `"id": "small"`) {
		t.Errorf("note %s, %v", notes, err)
	}
	if _, err := os.Stat(filepath.Join(opt.Dir, "quarantine", "segment-0000000001@000000000000")); err != nil {
		t.Error(err)
	}
	if left, _ := filepath.Glob(filepath.Join(opt.Dir, "quarantine", "body-*")); len(left) != 1 {
		t.Errorf("the damaged body is not in quarantine: %v", left)
	}
}

// TestReadErrors: a disk that cannot read now is not damage.
func TestReadErrors(t *testing.T) {
	m := newMemFS()
	s := mustOpen(t, small(t, m))
	mustPut(t, s, message("a", 1))
	m.mu.Lock()
	m.fault = func(_ int, op, _ string) fault {
		if op == "read" {
			return fails
		}
		return works
	}
	m.mu.Unlock()
	if _, err := readBody(s, "a"); !errors.Is(err, errInjected) || errors.Is(err, ErrDamaged) {
		t.Errorf("reading gives %v", err)
	}
	m.mu.Lock()
	m.fault = nil
	m.mu.Unlock()
	if err := same(s, message("a", 1)); err != nil {
		t.Error(err)
	}
	mustClose(t, s)
}

// TestBadSector: a block that cannot be read costs what is in it only, and
// comes back when the disk can read it again.
func TestBadSector(t *testing.T) {
	opt, m, l := filled(t, 12)
	clean := m.clone()
	m.fault = func(_ int, op, name string) fault {
		if op == "read" && name == segmentName(1) {
			return fails
		}
		return works
	}
	s := mustOpen(t, opt)
	if bad := survivors(t, s, l, len(l.held), "unreadable"); bad == 0 || s.Stats().Damages == 0 {
		t.Errorf("%d bad, %+v", bad, s.Stats())
	}
	mustPut(t, s, message("new", 1))
	mustClose(t, s)
	m.fault = nil
	if string(m.files[segmentName(1)].data) != string(clean.files[segmentName(1)].data) {
		t.Fatal("what could not be read was written over")
	}
	s = mustOpen(t, opt)
	for _, e := range l.held {
		if err := same(s, e); err != nil {
			t.Error(err)
		}
	}
	for id := range l.gone {
		if _, err := s.Get(id); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s is back: %v", id, err)
		}
	}
	mustClose(t, s)
}

func TestForeignFilesStay(t *testing.T) {
	opt := small(t, nil)
	s := mustOpen(t, opt)
	mustPut(t, s, message("a", 1))
	mustClose(t, s)
	foreign := []string{"README", "segment-1", "segment-0000000001.bak", "body-xyz", "journal-0000000001~"}
	for _, name := range foreign {
		if err := os.WriteFile(filepath.Join(opt.Dir, name), []byte("mine"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(opt.Dir, "lost+found"), 0o700); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, opt)
	if got := s.Stats().Foreign; got != len(foreign)+1 {
		t.Errorf("%d foreign files, want %d", got, len(foreign)+1)
	}
	if err := same(s, message("a", 1)); err != nil {
		t.Error(err)
	}
	mustClose(t, s)
	for _, name := range foreign {
		if b, err := os.ReadFile(filepath.Join(opt.Dir, name)); err != nil || string(b) != "mine" {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
	if _, err := os.Stat(filepath.Join(opt.Dir, "lost+found")); errors.Is(err, fs.ErrNotExist) {
		t.Error("a foreign folder is gone")
	}
}
