package queue

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"sync"

	"sealpost/relay/spool"
)

// errDisk is a disk that does not work.
var errDisk = errors.New("injected: the disk does not work")

// memFS is a file system in memory that can be copied at any moment: the copy
// is what a process finds that was killed then. (What power loss does is the
// spool's own test.)
type memFS struct {
	mu    sync.Mutex
	files map[string]*memData
	calls int
	// before is asked before each call that changes something.
	before func(call int) error
	broken bool
}

type memData struct{ b []byte }

func newMemFS() *memFS { return &memFS{files: map[string]*memData{}} }

// copyNow is the disk as it stands. The caller holds m.mu.
func (m *memFS) copyNow() *memFS {
	c := newMemFS()
	for name, d := range m.files {
		c.files[name] = &memData{bytes.Clone(d.b)}
	}
	return c
}

// setBroken makes every change fail from now on, or work again.
func (m *memFS) setBroken(b bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.broken = b
}

func (m *memFS) writes() error {
	m.calls++
	if m.broken {
		return errDisk
	}
	if m.before != nil {
		return m.before(m.calls)
	}
	return nil
}

// spoil turns one bit of every occurrence of text in the segments; it reports
// whether there was one.
func (m *memFS) spoil(text []byte) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	found := false
	for name, d := range m.files {
		if i := bytes.Index(d.b, text); i >= 0 && !strings.HasPrefix(name, "quarantine/") {
			d.b[i] ^= 1
			found = true
		}
	}
	return found
}

// spoilAt turns one bit at an offset of the only segment.
func (m *memFS) spoilAt(off int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, d := range m.files {
		if strings.HasPrefix(name, "segment-") {
			d.b[off] ^= 1
		}
	}
}

func (m *memFS) Open(name string, flag int) (spool.File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d := m.files[name]
	switch {
	case d == nil && flag&os.O_CREATE == 0:
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	case d != nil && flag&os.O_EXCL != 0:
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrExist}
	case d == nil:
		if err := m.writes(); err != nil {
			return nil, err
		}
		d = &memData{}
		m.files[name] = d
	case flag&os.O_TRUNC != 0:
		d.b = nil
	}
	return &memFile{m, d}, nil
}

func (m *memFS) Rename(from, to string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.writes(); err != nil {
		return err
	}
	m.files[to] = m.files[from]
	delete(m.files, from)
	return nil
}

func (m *memFS) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.writes(); err != nil {
		return err
	}
	delete(m.files, name)
	return nil
}

func (m *memFS) List(dir string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var names []string
	for name := range m.files {
		if path.Dir(name) == dir {
			names = append(names, path.Base(name))
		}
	}
	return names, nil
}

func (m *memFS) Mkdir(string) error   { return nil }
func (m *memFS) SyncDir(string) error { return nil }
func (m *memFS) Free() (int64, error) { return 1 << 40, nil }

type memFile struct {
	m *memFS
	d *memData
}

func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if off >= int64(len(f.d.b)) {
		return 0, io.EOF
	}
	n := copy(p, f.d.b[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) WriteAt(p []byte, off int64) (int, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.m.writes(); err != nil {
		return 0, err
	}
	f.grow(off + int64(len(p)))
	return copy(f.d.b[off:], p), nil
}

func (f *memFile) grow(size int64) {
	if more := size - int64(len(f.d.b)); more > 0 {
		f.d.b = append(f.d.b, make([]byte, more)...)
	}
}

func (f *memFile) Allocate(size int64) error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.m.writes(); err != nil {
		return err
	}
	f.grow(size)
	return nil
}

func (f *memFile) Sync() error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if f.m.broken {
		return errDisk
	}
	return nil
}

func (f *memFile) Size() (int64, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	return int64(len(f.d.b)), nil
}

func (f *memFile) Close() error { return nil }

func (m *memFS) callCount() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.calls
}

func (m *memFS) setBefore(f func(call int) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.before = f
}
