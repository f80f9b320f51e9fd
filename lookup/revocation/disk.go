package revocation

import (
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Lists that are kept in a folder survive a restart. A file is believed no
// more than an answer from the network: its signature and its dates are
// checked when it is read. Its loss costs one fetch.
const (
	listSuffix = ".crl"
	maxFileAge = 60 * 24 * time.Hour
	dirFactor  = 4 // the folder holds as many bytes as this times MaxList
)

// openDir makes the folder and clears it of what is old.
func (c *Checker) openDir() error {
	if c.opts.Dir == "" {
		return nil
	}
	if err := os.MkdirAll(c.opts.Dir, 0o700); err != nil {
		return err
	}
	probe, err := os.CreateTemp(c.opts.Dir, "new-*")
	if err != nil {
		return err
	}
	probe.Close()
	if err := os.Remove(probe.Name()); err != nil {
		return err
	}
	c.prune()
	return nil
}

func (c *Checker) file(e *entry) string {
	return filepath.Join(c.opts.Dir, hex.EncodeToString([]byte(e.key))+listSuffix)
}

// load reads the list of an entry that was never fetched by this process.
func (c *Checker) load(e *entry, first bool) (l landing) {
	if c.opts.Dir == "" || !first {
		return l
	}
	f, err := os.Open(c.file(e))
	if err != nil {
		return l
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() || info.Size() > c.opts.MaxList {
		return l
	}
	data, err := io.ReadAll(io.LimitReader(f, c.opts.MaxList))
	if err != nil {
		return l
	}
	if l.list, err = c.read(data, e, c.opts.Clock()); err != nil {
		return landing{}
	}
	l.fetched, l.kept = info.ModTime(), true
	return l
}

// save keeps a list for the next start. That it cannot be kept is no reason
// not to use it.
func (c *Checker) save(e *entry, body []byte) {
	if c.opts.Dir == "" {
		return
	}
	if err := c.write(c.file(e), body); err != nil {
		c.opts.Log.Warn("revocation: a list cannot be kept for the next start", "url", e.url, "error", err)
	}
	c.prune()
}

func (c *Checker) write(path string, body []byte) error {
	f, err := os.CreateTemp(c.opts.Dir, "new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(body)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

// prune removes what is old, and of the rest the oldest until the folder is
// within its bound. Only files of this package's own making are touched.
func (c *Checker) prune() {
	entries, err := os.ReadDir(c.opts.Dir)
	if err != nil {
		return
	}
	var kept []fs.FileInfo
	var total int64
	now := c.opts.Clock()
	for _, d := range entries {
		info, err := d.Info()
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		unfinished := strings.HasPrefix(d.Name(), "new-") && now.Sub(info.ModTime()) > time.Hour
		ours := strings.HasSuffix(d.Name(), listSuffix) && len(d.Name()) == 64+len(listSuffix)
		switch {
		case unfinished, ours && now.Sub(info.ModTime()) > maxFileAge:
			os.Remove(filepath.Join(c.opts.Dir, d.Name()))
		case ours:
			kept, total = append(kept, info), total+info.Size()
		}
	}
	slices.SortFunc(kept, func(a, b fs.FileInfo) int { return a.ModTime().Compare(b.ModTime()) })
	for _, info := range kept {
		if total <= dirFactor*c.opts.MaxList {
			break
		}
		if os.Remove(filepath.Join(c.opts.Dir, info.Name())) == nil {
			total -= info.Size()
		}
	}
}
