package spool

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// disk is the FS of a real directory.
type disk struct{ dir string }

func (d disk) path(name string) string { return filepath.Join(d.dir, name) }

func (d disk) Open(name string, flag int) (File, error) {
	f, err := os.OpenFile(d.path(name), flag|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	return diskFile{f}, nil
}

func (d disk) Rename(from, to string) error { return os.Rename(d.path(from), d.path(to)) }
func (d disk) Remove(name string) error     { return os.Remove(d.path(name)) }
func (d disk) Mkdir(dir string) error       { return os.Mkdir(d.path(dir), 0o700) }

func (d disk) List(dir string) ([]string, error) {
	entries, err := os.ReadDir(d.path(dir))
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		name := e.Name()
		if !e.Type().IsRegular() {
			name += "/"
		}
		names = append(names, name)
	}
	return names, nil
}

func (d disk) SyncDir(dir string) error {
	f, err := os.Open(d.path(dir))
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

func (d disk) Free() (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(d.dir, &st); err != nil {
		return 0, &os.PathError{Op: "statfs", Path: d.dir, Err: err}
	}
	return int64(st.Bavail) * int64(st.Bsize), nil
}

type diskFile struct{ *os.File }

func (f diskFile) Size() (int64, error) {
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}

// fillZero is the way of file systems without fallocate: blocks that were
// written once are there.
func (f diskFile) fillZero(size int64) error {
	zero := make([]byte, 1<<20)
	for off := int64(0); off < size; off += int64(len(zero)) {
		if _, err := f.WriteAt(zero[:min(int64(len(zero)), size-off)], off); err != nil {
			return err
		}
	}
	return nil
}
