package lookup

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sealpost/internal/address"
	"sealpost/internal/certificate"
)

// maxFile is the size in bytes up to which a certificate file is read.
const maxFile = 1 << 20

var (
	errFileTooLarge = errors.New("larger than 1 MiB")
	errNotAFile     = errors.New("not an ordinary file")
	errNoAddress    = errors.New("names no mail address, neither in a certificate nor as the file's name")
	errEmptied      = errors.New("held certificates before and holds none now; if that is meant, reload the configuration")
)

// An index is what was last seen of a directory. It does not change; a new
// look makes a new one.
type index struct {
	err       error // the directory cannot be used
	files     map[string]*file
	byMailbox map[mailbox][]*file
}

// A file is one certificate file as it was last seen.
type file struct {
	name      string
	stamp     stamp
	certs     []*certificate.Certificate
	err       error             // what is wrong with it
	unread    bool              // certs may not be all that it holds, or what it held before
	addresses []address.Address // under which it is found
}

// A stamp changes when a file does.
type stamp struct {
	size     int64
	modified time.Time
	info     os.FileInfo // for os.SameFile: another file under the same name
}

// settled is the age from which on a modification time is trusted to differ
// from that of the next change (file systems store it in steps).
const settled = 2 * time.Second

func (s stamp) same(other stamp, now time.Time) bool {
	return s.info != nil && other.info != nil && s.size == other.size && s.modified.Equal(other.modified) &&
		os.SameFile(s.info, other.info) && now.Sub(s.modified) > settled
}

// reread looks at the directory and reads what has changed since.
func (old *index) reread(dir string) *index {
	now := &index{files: map[string]*file{}, byMailbox: map[mailbox][]*file{}}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return &index{err: err, files: old.files}
	}
	for _, e := range entries {
		if !isCertificateFile(e.Name()) {
			continue
		}
		if f := readFile(dir, e, old.files[e.Name()]); f != nil {
			now.files[f.name] = f
		}
	}
	if len(now.files) == 0 && len(old.files) > 0 {
		return &index{err: fmt.Errorf("%s: %w", dir, errEmptied), files: old.files}
	}
	for _, name := range now.names() {
		f := now.files[name]
		for _, addr := range f.addresses {
			key := foldedMailbox(addr)
			if !slices.Contains(now.byMailbox[key], f) {
				now.byMailbox[key] = append(now.byMailbox[key], f)
			}
		}
	}
	return now
}

func isCertificateFile(name string) bool {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".pem", ".crt", ".cer", ".der", ".p7b", ".p7c":
		return !strings.HasPrefix(name, ".")
	}
	return false
}

// readFile gives the file as it is now, or nil when it has gone.
func readFile(dir string, entry os.DirEntry, old *file) *file {
	path := filepath.Join(dir, entry.Name())
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) && entry.Type()&os.ModeSymlink == 0 {
		return nil
	}
	f := &file{name: entry.Name()}
	if err == nil {
		f.stamp = stamp{info.Size(), info.ModTime(), info}
		if old != nil && old.stamp.same(f.stamp, time.Now()) {
			return old
		}
		f.certs, err = readCertificates(path, info)
	}
	f.err = err
	f.unread = err != nil && (len(f.certs) == 0 || !onlyPrivateKey(err))
	if f.unread && old != nil {
		f.certs = old.certs // it may be in the middle of being written
	}
	f.findAddresses()
	return f
}

// onlyPrivateKey reports that an error of ParseAll is no more than the warning.
func onlyPrivateKey(err error) bool {
	joined, ok := err.(interface{ Unwrap() []error })
	return ok && !slices.ContainsFunc(joined.Unwrap(), func(e error) bool { return e != certificate.ErrPrivateKey })
}

func readCertificates(path string, info os.FileInfo) ([]*certificate.Certificate, error) {
	if !info.Mode().IsRegular() {
		return nil, errNotAFile
	}
	in, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	data, err := io.ReadAll(io.LimitReader(in, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxFile {
		return nil, errFileTooLarge
	}
	return certificate.ParseAll(data)
}

// findAddresses fills in the addresses, and finds fault with a file that has none.
func (f *file) findAddresses() {
	if addr, err := f.nameAsAddress(); err == nil {
		f.addresses = append(f.addresses, addr)
	}
	issuers := 0
	for _, c := range f.certs {
		if c.IsCA {
			issuers++
		}
		f.addresses = append(f.addresses, mailboxesOf(c)...)
	}
	if len(f.addresses) == 0 && issuers < len(f.certs) {
		f.err = errors.Join(f.err, errNoAddress)
	}
}

// nameAsAddress reads ADDRESS.pem.
func (f *file) nameAsAddress() (address.Address, error) {
	return address.Parse(strings.TrimSuffix(f.name, filepath.Ext(f.name)))
}

func (f *file) namedFor(addr address.Address) bool {
	named, err := f.nameAsAddress()
	return err == nil && named.Key() == addr.Key()
}

func (f *file) holdsSame(other *file) bool {
	return f.unread == other.unread && slices.EqualFunc(f.certs, other.certs, func(a, b *certificate.Certificate) bool {
		return bytes.Equal(a.Raw, b.Raw)
	})
}

func (i *index) names() []string { return slices.Sorted(maps.Keys(i.files)) }

// changedSince gives the addresses of files that came, went, or changed.
func (i *index) changedSince(old *index) []address.Address {
	changed := map[address.Address]bool{}
	note := func(f *file) {
		for _, addr := range f.addresses {
			changed[addr] = true
		}
	}
	for name, f := range i.files {
		switch was := old.files[name]; {
		case was == nil:
			note(f)
		case was != f && !was.holdsSame(f):
			note(f)
			note(was)
		}
	}
	for name, was := range old.files {
		if i.files[name] == nil {
			note(was)
		}
	}
	return slices.Collect(maps.Keys(changed))
}
