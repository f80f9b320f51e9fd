package mirror

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sealpost/lookup/keydb"
)

// A life is a mirror and its directory, to which anything happens in any order.
type life struct {
	c     *chronicle
	m     *Mirror
	f     *follower
	dir   string
	moved int // how many folders the files have been in
	limit int // changes in a page, for the directory is free to give fewer
	away  bool
}

func (l *life) file() string { return filepath.Join(l.dir, fmt.Sprint(l.moved), "mirror.db") }

// Changes is the directory as the mirror meets it.
func (l *life) Changes(ctx context.Context, cursor string, limit int, wait time.Duration) (keydb.Page, error) {
	if l.away {
		return keydb.Page{}, errors.New("no route to host")
	}
	return l.c.Changes(ctx, cursor, min(limit, l.limit), wait)
}

func (l *life) open(t *rapid.T) {
	m, err := Open(quiet(Options{File: l.file()}))
	if err != nil {
		t.Fatal(err)
	}
	l.m, l.f = m, &follower{m: m, feed: l}
}

func (l *life) close(t *rapid.T) {
	if err := l.m.Close(); err != nil {
		t.Fatal(err)
	}
}

// crash leaves the files as they are now, and goes on with a copy of them.
func (l *life) crash(t *rapid.T) {
	from := filepath.Dir(l.file())
	l.moved++
	if err := os.CopyFS(filepath.Dir(l.file()), os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	l.close(t)
}

// cut takes some bytes off the end of a file, which a disk that lied may do. The
// header stays: without it nobody knows whose file it is.
func (l *life) cut(t *rapid.T, path string, bytes int64) {
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return
	}
	if err == nil {
		err = os.Truncate(path, max(min(info.Size(), headerSize), info.Size()-bytes))
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (l *life) actions() map[string]func(*rapid.T) {
	files := func(t *rapid.T) string {
		return rapid.SampledFrom([]string{l.file(), l.file() + indexSuffix, l.m.nextPath(), l.m.nextPath() + indexSuffix}).Draw(t, "file")
	}
	with := func(f func(*replica) error) func(*rapid.T) {
		return func(t *rapid.T) {
			l.m.writing.Lock()
			defer l.m.writing.Unlock()
			if err := f(l.m.current.Load()); err != nil {
				t.Fatal(err)
			}
		}
	}
	return map[string]func(*rapid.T){
		"": func(t *rapid.T) { l.c.agrees(t, l.m) },
		"somebody changes": func(t *rapid.T) {
			for range rapid.IntRange(1, 8).Draw(t, "times") {
				l.c.write(fmt.Sprintf("p%d@example.org", rapid.IntRange(0, 11).Draw(t, "who")), rapid.IntRange(0, 2).Draw(t, "certificates"))
			}
		},
		"a page": func(t *rapid.T) {
			l.limit = rapid.IntRange(1, 12).Draw(t, "limit")
			l.f.step(context.Background())
		},
		"the directory is away": func(*rapid.T) {
			l.away = true
			l.f.step(context.Background())
			l.away = false
		},
		"the directory is restored": func(t *rapid.T) {
			l.c.restore(fmt.Sprintf("E%d", len(l.c.past)), rapid.IntRange(1, 12).Draw(t, "people"))
		},
		"a page again": func(*rapid.T) { // it is refused, or begins where the mirror stands
			if page, err := l.c.Changes(context.Background(), l.c.epoch+".0", l.limit, 0); err == nil && strings.HasPrefix(l.m.Cursor(), l.c.epoch+".") {
				_ = l.m.Apply(page)
			}
		},
		"the table is written":    with((*replica).writeTable),
		"the file is compacted":   with(func(r *replica) error { return l.m.compact(r) }),
		"it is closed and opened": func(t *rapid.T) { l.close(t); l.open(t) },
		"it is killed":            func(t *rapid.T) { l.crash(t); l.open(t) },
		"a file is lost": func(t *rapid.T) {
			path := filepath.Base(files(t))
			l.crash(t)
			if err := os.Remove(filepath.Join(filepath.Dir(l.file()), path)); err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Fatal(err)
			}
			l.open(t)
		},
		"a file is cut": func(t *rapid.T) {
			path := filepath.Base(files(t))
			bytes := rapid.Int64Range(1, 4000).Draw(t, "bytes")
			l.crash(t)
			l.cut(t, filepath.Join(filepath.Dir(l.file()), path), bytes)
			l.open(t)
		},
	}
}

// Whatever happens in whatever order, the mirror says nothing but what its
// directory said at the place where the mirror stands; and left alone with its
// directory, it ends with what that has.
func TestAnythingInAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp("", "sealpost-mirror-")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		l := &life{c: newChronicle(), dir: dir, limit: 3}
		if err := os.Mkdir(filepath.Dir(l.file()), 0o700); err != nil {
			t.Fatal(err)
		}
		l.open(t)
		defer func() { l.m.Close() }()
		t.Repeat(l.actions())
		for steps := 0; !l.m.Level() || l.m.Cursor() != fmt.Sprintf("%s.%d", l.c.epoch, l.c.seq); steps++ {
			if steps > 1000 {
				t.Fatalf("it does not come to an end: %+v", l.m.State())
			}
			l.f.step(context.Background())
		}
		l.c.check(t, l.m)
	})
}
