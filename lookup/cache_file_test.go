package lookup_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"sealpost/internal/address"
	"sealpost/lookup"
)

// A fileRig is a cache with a file, which can be started again.
type fileRig struct {
	*rig
	path string
	log  bytes.Buffer
	opts lookup.CacheOptions
	file *lookup.CacheFile
}

func newFileRig(t *testing.T, opts lookup.CacheOptions) *fileRig {
	t.Helper()
	r := &fileRig{rig: &rig{T: t, script: &script{}, clock: newClock(time.Now())}, path: filepath.Join(t.TempDir(), "cache")}
	opts.Clock, opts.Refreshers, opts.Settings = r.clock.now, -1, settings
	r.opts = opts
	r.open(lookup.CacheFileOptions{})
	t.Cleanup(func() { r.close() })
	return r
}

func (r *fileRig) open(opts lookup.CacheFileOptions) {
	r.Helper()
	opts.Path, opts.Clock, opts.Log = r.path, r.clock.now, slog.New(slog.NewTextHandler(&r.log, nil))
	if opts.Interval == 0 {
		opts.Interval = time.Hour // it writes when it is told to
	}
	var err error
	if r.file, err = lookup.OpenCacheFile(opts); err != nil {
		r.Fatal(err)
	}
	r.opts.File = r.file
	if r.cache, err = lookup.NewCache(r.script, r.opts); err != nil {
		r.Fatal(err)
	}
}

func (r *fileRig) close() {
	r.cache.Close()
	if err := r.file.Close(); err != nil {
		r.Error(err)
	}
}

// restart ends everything in order, and begins again.
func (r *fileRig) restart() {
	r.Helper()
	r.close()
	r.open(lookup.CacheFileOptions{})
}

// Right after a restart, the sources being away, mail to those who are known
// goes on: within the TTL as if nothing had happened, then as stale.
func TestCacheFileOutlivesARestart(t *testing.T) {
	r := newFileRig(t, lookup.CacheOptions{})
	cert := valid(t, -time.Hour, 1000*time.Hour)
	r.says(usable(cert))
	r.want(lookup.Found, false, 1)
	r.says(saysDown)
	r.restart()
	if a := r.want(lookup.Found, false, 1); !bytes.Equal(a.Usable(0)[0].Raw, cert.Raw) {
		t.Error("another certificate")
	}
	r.advance(time.Hour)
	r.restart()
	if a := r.want(lookup.Found, true, 2); !errors.Is(a.Err, errDown) {
		t.Errorf("%v", a.Err)
	}
	r.want(lookup.Found, true, 2) // it rests
	r.advance(24*time.Hour - 1)
	r.restart()
	r.want(lookup.Found, true, 3)
	r.advance(1)
	r.restart()
	r.want(lookup.Unavailable, false, 4)
	if s := r.file.Stats(); s.Hits != 0 || s.Entries != 1 {
		t.Errorf("%+v", s)
	}
}

// What is looked up on disk is validity too, and what the clock says.
func TestCacheFileKeepsToTheDates(t *testing.T) {
	r := newFileRig(t, lookup.CacheOptions{})
	r.says(usable(valid(t, -time.Hour, 10*time.Minute)))
	r.want(lookup.Found, false, 1)
	r.says(saysDown)
	r.restart()
	r.advance(-time.Minute) // a clock that was wrong once
	r.want(lookup.Unavailable, false, 2)
	r.advance(15 * time.Minute)
	r.want(lookup.Unavailable, false, 3)
}

// "No certificate" never comes out of a file, and ends what the file holds.
func TestCacheFileNeverSaysNone(t *testing.T) {
	r := newFileRig(t, lookup.CacheOptions{})
	r.says(saysNone)
	r.want(lookup.None, false, 1)
	r.says(saysDown)
	r.restart()
	r.want(lookup.Unavailable, false, 2)
	r.says(usable(valid(t, -time.Hour, 1000*time.Hour)))
	r.want(lookup.Found, false, 3)
	r.restart()
	r.advance(time.Hour)
	r.says(saysNone)
	r.want(lookup.None, false, 4)
	r.says(saysDown)
	r.restart()
	r.want(lookup.Unavailable, false, 5)
	if n := r.file.Stats().Entries; n != 0 {
		t.Errorf("%d entries", n)
	}
}

// Other roots, other sources: what was judged under the old ones is not used,
// and is there again when they are.
func TestCacheFileUnderOtherSettings(t *testing.T) {
	r := newFileRig(t, lookup.CacheOptions{})
	r.says(usable(valid(t, -time.Hour, 1000*time.Hour)))
	r.want(lookup.Found, false, 1)
	r.says(saysDown)
	r.opts.Settings = []byte("other roots")
	r.restart()
	r.want(lookup.Unavailable, false, 2)
	r.opts.Settings = settings
	r.restart()
	r.want(lookup.Found, false, 2)
}

// Where sources tell of changes, what changed while nobody listened counts.
func TestCacheFileRecheck(t *testing.T) {
	r := newFileRig(t, lookup.CacheOptions{Recheck: true})
	r.says(usable(valid(t, -time.Hour, 1000*time.Hour)))
	r.want(lookup.Found, false, 1)
	r.advance(time.Second)
	r.restart()
	r.says(saysDown)
	r.want(lookup.Found, true, 2)
	r.advance(time.Minute)
	r.says(saysNone)
	r.want(lookup.None, false, 3)
}

// What does not fit into memory any more is found in the file.
func TestCacheFileBehindMemory(t *testing.T) {
	r := newFileRig(t, lookup.CacheOptions{Entries: 10})
	r.says(usable(valid(t, -time.Hour, 1000*time.Hour)))
	all := people(t, 100)
	for range 2 {
		for _, addr := range all {
			if a := r.cache.Lookup(context.Background(), addr); a.Outcome != lookup.Found {
				t.Fatal(a.Outcome)
			}
		}
		if err := r.file.Sync(); err != nil {
			t.Fatal(err)
		}
	}
	if s := r.cache.Stats(); r.asked.Load() != 100 || s.Entries != 10 || s.Hits != 100 || r.file.Stats().Hits != 100 || r.file.Stats().Entries != 100 {
		t.Errorf("asked %d times, %+v, %+v", r.asked.Load(), s, r.file.Stats())
	}
}

func TestCacheFileFlush(t *testing.T) {
	r := newFileRig(t, lookup.CacheOptions{})
	r.says(usable(valid(t, -time.Hour, 1000*time.Hour)))
	r.want(lookup.Found, false, 1)
	r.says(saysDown)
	r.restart()
	r.cache.Flush(parse(t, anna))
	r.want(lookup.Unavailable, false, 2)
	if err := r.file.Sync(); err != nil {
		t.Fatal(err)
	}
	r.file.Crash()
	r.open(lookup.CacheFileOptions{})
	r.want(lookup.Unavailable, false, 3)
}

// A cache that others have taken the place of changes nothing any more.
func TestCacheFileIsLeft(t *testing.T) {
	r := newFileRig(t, lookup.CacheOptions{})
	r.cache.LeaveFile()
	r.says(usable(valid(t, -time.Hour, 1000*time.Hour)))
	r.want(lookup.Found, false, 1)
	r.cache.Flush(parse(t, anna))
	if s := r.file.Stats(); s.Pending != 0 {
		t.Errorf("%+v", s)
	}
	r.says(saysDown)
	r.restart()
	r.want(lookup.Unavailable, false, 2)
}

// The file is bounded: what is useless goes first, then what is old.
func TestCacheFileIsBounded(t *testing.T) {
	r := newFileRig(t, lookup.CacheOptions{Entries: 1, TTL: time.Hour, Stale: time.Hour})
	r.close()
	r.open(lookup.CacheFileOptions{Entries: 1000})
	r.says(usable(valid(t, -time.Hour, 1000*time.Hour)))
	all := people(t, 3000)
	ask := func(part []address.Address) {
		t.Helper()
		for _, addr := range part {
			r.cache.Lookup(context.Background(), addr)
		}
		if err := r.file.Sync(); err != nil {
			t.Fatal(err)
		}
	}
	ask(all[:2000])
	r.advance(time.Minute)
	ask(all[2000:])
	for range 20 { // a round a tick
		ask(nil)
	}
	if n := r.file.Stats().Entries; n != 1000 {
		t.Errorf("%d entries", n)
	}
	before := r.asked.Load()
	ask(all[2000:])
	if n := r.asked.Load() - before; n > 300 {
		t.Errorf("%d of the thousand youngest are gone", n)
	}
	r.advance(3 * time.Hour)
	for range 20 {
		ask(nil)
	}
	if n := r.file.Stats().Entries; n != 0 {
		t.Errorf("%d entries are too old to be of use", n)
	}
}

func TestCacheFileIsPrivateAndLocked(t *testing.T) {
	r := newFileRig(t, lookup.CacheOptions{})
	if info, err := os.Stat(r.path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if _, err := lookup.OpenCacheFile(lookup.CacheFileOptions{Path: r.path}); !errors.Is(err, lookup.ErrCacheFileInUse) {
		t.Errorf("two at once: %v", err)
	}
	r.close()
	if err := os.Chmod(r.path, 0o644); err != nil {
		t.Fatal(err)
	}
	r.open(lookup.CacheFileOptions{})
	if info, err := os.Stat(r.path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if _, err := lookup.OpenCacheFile(lookup.CacheFileOptions{Path: filepath.Join(r.path, "below")}); !errors.Is(err, syscall.ENOTDIR) {
		t.Errorf("no folder: %v", err)
	}
}

// A file that is damaged is moved aside, and work goes on with a new one.
func TestCacheFileDamaged(t *testing.T) {
	for name, damage := range map[string]func(t *testing.T, path string){
		"garbage": func(t *testing.T, path string) { overwrite(t, path, 0, bytes.Repeat([]byte("garbage\n"), 8192)) },
		"zeros":   func(t *testing.T, path string) { overwrite(t, path, 0, make([]byte, 16384)) },
		"cut":     func(t *testing.T, path string) { cut(t, path, 20000) },
		"short":   func(t *testing.T, path string) { cut(t, path, 100) },
		"pages":   func(t *testing.T, path string) { overwrite(t, path, 8192, bytes.Repeat([]byte{0xff}, 65536)) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newFileRig(t, lookup.CacheOptions{})
			r.says(usable(valid(t, -time.Hour, 1000*time.Hour)))
			for _, addr := range people(t, 100) {
				r.cache.Lookup(context.Background(), addr)
			}
			r.close()
			damage(t, r.path)
			r.open(lookup.CacheFileOptions{})
			if _, err := os.Stat(r.path + ".damaged"); err != nil || !strings.Contains(r.log.String(), "moved aside") {
				t.Errorf("%v\n%s", err, r.log.String())
			}
			r.want(lookup.Found, false, 101)
			r.restart()
			r.want(lookup.Found, false, 101)
		})
	}
}

// A file that is damaged while it is in use costs its content, nothing more.
func TestCacheFileDamagedInUse(t *testing.T) {
	r := newFileRig(t, lookup.CacheOptions{Entries: 1})
	r.says(usable(valid(t, -time.Hour, 1000*time.Hour)))
	all := people(t, 200)
	for _, addr := range all {
		r.cache.Lookup(context.Background(), addr)
	}
	if err := r.file.Sync(); err != nil {
		t.Fatal(err)
	}
	cut(t, r.path, 8192)
	for _, addr := range all {
		if a := r.cache.Lookup(context.Background(), addr); a.Outcome != lookup.Found {
			t.Fatal(a.Outcome, a.Err)
		}
	}
	if n := strings.Count(r.log.String(), "moved aside"); n != 1 {
		t.Errorf("told %d times\n%s", n, r.log.String())
	}
	r.restart()
	if n := r.file.Stats().Entries; n != 0 {
		t.Errorf("%d entries", n)
	}
}

func overwrite(t *testing.T, path string, at int64, with []byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(with, at); err != nil {
		t.Fatal(err)
	}
}

func cut(t *testing.T, path string, size int64) {
	t.Helper()
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
}

// A disk that takes nothing costs what would have been kept, is told of once,
// and is tried again.
func TestCacheFileOnAFullDisk(t *testing.T) {
	r := newFileRig(t, lookup.CacheOptions{Entries: 1})
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	full := old
	full.Cur = 1 << 16
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &full); err != nil {
		t.Fatal(err)
	}
	restore := func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
			t.Fatal(err)
		}
	}
	defer restore()
	r.says(usable(valid(t, -time.Hour, 1000*time.Hour)))
	for round := range 3 {
		for i := range 200 {
			if a := r.cache.Lookup(context.Background(), parse(t, fmt.Sprintf("p%d.%d@example.org", round, i))); a.Outcome != lookup.Found {
				t.Fatal(a.Outcome)
			}
		}
		if err := r.file.Sync(); err == nil {
			t.Fatal("it was written")
		}
	}
	if n := strings.Count(r.log.String(), "cannot be written"); n != 1 || r.file.Stats().Pending != 600 {
		t.Errorf("told %d times, %+v\n%s", n, r.file.Stats(), r.log.String())
	}
	restore()
	if err := r.file.Sync(); err != nil || r.file.Stats().Entries != 600 || !strings.Contains(r.log.String(), "can be written again") {
		t.Errorf("%v, %+v\n%s", err, r.file.Stats(), r.log.String())
	}
}
