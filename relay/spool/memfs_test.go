package spool

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path"
	"strings"
	"sync"
	"syscall"
)

var (
	errInjected = errors.New("injected fault")
	errPower    = errors.New("the power is off")
)

const sector = 512

// memFS is a file system that forgets at a power cut what was not synced: of
// the sectors written since the last Sync some survive, of the directory
// changes since the last SyncDir the first few.
type memFS struct {
	mu      sync.Mutex
	files   map[string]*inode
	durable map[string]*inode
	dirOps  []func(names map[string]*inode)
	space   int64 // bytes that files may be allocated, all together
	off     bool
	calls   int
	// fault is asked at each call; it may break the call.
	fault func(call int, op, name string) fault
}

type fault int

const (
	works     fault = iota
	fails           // nothing happens, an error comes back
	persists        // it happens, and an error comes back
	tears           // the first half of a write happens
	cutsPower       // nothing happens, now and later
)

type inode struct {
	data, synced []byte
	dirty        map[int64]bool
}

func newMemFS() *memFS {
	return &memFS{files: map[string]*inode{}, durable: map[string]*inode{}, space: 1 << 40}
}

// enter counts a call and gives its fault; m.mu stays held.
func (m *memFS) enter(op, name string) (fault, error) {
	m.mu.Lock()
	if m.off {
		return fails, errPower
	}
	m.calls++
	if m.fault == nil {
		return works, nil
	}
	switch f := m.fault(m.calls, op, name); f {
	case works:
		return works, nil
	case cutsPower:
		m.off = true
		return fails, errPower
	default:
		return f, &fs.PathError{Op: op, Path: name, Err: errInjected}
	}
}

func (m *memFS) dirOp(op func(map[string]*inode)) {
	op(m.files)
	m.dirOps = append(m.dirOps, op)
}

// crash is a power cut and the start after it.
func (m *memFS) crash(rng *rand.Rand) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, op := range m.dirOps[:rng.IntN(len(m.dirOps)+1)] {
		op(m.durable)
	}
	m.files = map[string]*inode{}
	for name, n := range m.durable {
		kept := bytes.Clone(n.synced)
		if rng.IntN(2) == 0 {
			kept = append(kept, make([]byte, max(0, len(n.data)-len(kept)))...)
		}
		for s := range n.dirty {
			if from := s * sector; rng.IntN(2) == 0 && from < int64(len(kept)) {
				copy(kept[from:min(from+sector, int64(len(kept)))], n.data[min(from, int64(len(n.data))):])
			}
		}
		m.files[name] = &inode{data: kept, synced: bytes.Clone(kept), dirty: map[int64]bool{}}
	}
	m.durable = map[string]*inode{}
	for name, n := range m.files {
		m.durable[name] = n
	}
	m.dirOps, m.off, m.fault = nil, false, nil
}

func (m *memFS) Open(name string, flag int) (File, error) {
	f, err := m.enter("open", name)
	defer m.mu.Unlock()
	if f == fails || f == tears {
		return nil, err
	}
	n := m.files[name]
	switch {
	case n == nil && flag&os.O_CREATE == 0:
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	case n != nil && flag&os.O_EXCL != 0:
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrExist}
	case n == nil:
		n = &inode{dirty: map[int64]bool{}}
		m.dirOp(func(names map[string]*inode) { names[name] = n })
	case flag&os.O_TRUNC != 0:
		n.data = nil
	}
	if err != nil {
		return nil, err
	}
	return &memFile{m: m, n: n, name: name}, nil
}

func (m *memFS) Rename(from, to string) error {
	f, err := m.enter("rename", from)
	defer m.mu.Unlock()
	if f == fails || f == tears {
		return err
	}
	n := m.files[from]
	if n == nil {
		return &fs.PathError{Op: "rename", Path: from, Err: fs.ErrNotExist}
	}
	m.dirOp(func(names map[string]*inode) {
		delete(names, from)
		names[to] = n
	})
	return err
}

func (m *memFS) Remove(name string) error {
	f, err := m.enter("remove", name)
	defer m.mu.Unlock()
	if f == fails || f == tears {
		return err
	}
	if m.files[name] == nil {
		return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrNotExist}
	}
	m.dirOp(func(names map[string]*inode) { delete(names, name) })
	return err
}

func (m *memFS) List(dir string) ([]string, error) {
	_, err := m.enter("list", dir)
	defer m.mu.Unlock()
	if err != nil {
		return nil, err
	}
	var names []string
	for name := range m.files {
		if path.Dir(name) == dir {
			names = append(names, path.Base(name))
		}
	}
	return names, nil
}

func (m *memFS) Mkdir(dir string) error {
	_, err := m.enter("mkdir", dir)
	defer m.mu.Unlock()
	return err
}

func (m *memFS) SyncDir(dir string) error {
	f, err := m.enter("syncdir", dir)
	defer m.mu.Unlock()
	if f == fails || f == tears {
		return err
	}
	for _, op := range m.dirOps {
		op(m.durable)
	}
	m.dirOps = nil
	return err
}

func (m *memFS) Free() (int64, error) {
	_, err := m.enter("statfs", "")
	defer m.mu.Unlock()
	return m.space - m.taken(), err
}

func (m *memFS) taken() (n int64) {
	for _, f := range m.files {
		n += int64(len(f.data))
	}
	return n
}

// contents is all that is in files whose names start so, for a search.
func (m *memFS) contents(prefix string) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []byte
	for name, n := range m.files {
		if strings.HasPrefix(name, prefix) {
			all = append(append(all, name...), n.data...)
		}
	}
	return all
}

type memFile struct {
	m    *memFS
	n    *inode
	name string
}

func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	_, err := f.m.enter("read", f.name)
	defer f.m.mu.Unlock()
	if err != nil {
		return 0, err
	}
	if off >= int64(len(f.n.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.n.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) WriteAt(p []byte, off int64) (int, error) {
	how, err := f.m.enter("write", f.name)
	defer f.m.mu.Unlock()
	switch how {
	case fails:
		return 0, err
	case tears:
		p = p[:len(p)/2]
	}
	if grow := off + int64(len(p)) - int64(len(f.n.data)); grow > 0 {
		if f.m.taken()+grow > f.m.space {
			return 0, &fs.PathError{Op: "write", Path: f.name, Err: syscall.ENOSPC}
		}
		f.n.data = append(f.n.data, make([]byte, grow)...)
	}
	copy(f.n.data[off:], p)
	for s := off / sector; s*sector < off+int64(len(p)); s++ {
		f.n.dirty[s] = true
	}
	return len(p), err
}

func (f *memFile) Allocate(size int64) error {
	how, err := f.m.enter("allocate", f.name)
	defer f.m.mu.Unlock()
	if how == fails || how == tears {
		return err
	}
	if grow := size - int64(len(f.n.data)); grow > 0 {
		if f.m.taken()+grow > f.m.space {
			return &fs.PathError{Op: "allocate", Path: f.name, Err: syscall.ENOSPC}
		}
		f.n.data = append(f.n.data, make([]byte, grow)...)
	}
	return err
}

// Sync that fails loses what it should have written, as Linux does: the pages
// count as clean, and the next Sync says nothing about them.
func (f *memFile) Sync() error {
	how, err := f.m.enter("sync", f.name)
	defer f.m.mu.Unlock()
	if errors.Is(err, errPower) {
		return err
	}
	if how == fails || how == tears {
		f.n.dirty = map[int64]bool{}
		return err
	}
	if len(f.n.synced) < len(f.n.data) {
		f.n.synced = append(f.n.synced, make([]byte, len(f.n.data)-len(f.n.synced))...)
	}
	f.n.synced = f.n.synced[:len(f.n.data)]
	for s := range f.n.dirty {
		from := min(s*sector, int64(len(f.n.data)))
		copy(f.n.synced[from:min(from+sector, int64(len(f.n.data)))], f.n.data[from:])
	}
	f.n.dirty = map[int64]bool{}
	return err
}

func (f *memFile) Size() (int64, error) {
	_, err := f.m.enter("size", f.name)
	defer f.m.mu.Unlock()
	return int64(len(f.n.data)), err
}

func (f *memFile) Close() error { return nil }
