package escrow

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"
)

// A File is the Keeper whose master keys are in a file of this machine. The file
// is read again when it has changed, so that keys are rotated without a restart.
type File struct {
	path string
	log  *slog.Logger

	mu   sync.Mutex
	ring []Master
	seen state
}

// state is by what a changed file is noticed.
type state struct {
	info fs.FileInfo
	err  string // why it could not be read last time; told once
}

// OpenFile reads the file, which must have at least one key. The errors do not
// show what is in it. log may be nil.
func OpenFile(path string, log *slog.Logger) (*File, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	f := &File{path: path, log: log}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if f.ring, err = ReadFile(path); err != nil {
		return nil, err
	}
	f.seen.info = info
	return f, nil
}

// masters gives the keys as the file has them now. While it cannot be read, they
// are those of before: whoever moves the file stops nobody's mail by it.
func (f *File) masters() []Master {
	f.mu.Lock()
	defer f.mu.Unlock()
	info, err := os.Stat(f.path)
	if err == nil && f.seen.err == "" && os.SameFile(info, f.seen.info) && info.ModTime().Equal(f.seen.info.ModTime()) && info.Size() == f.seen.info.Size() {
		return f.ring
	}
	var ring []Master
	if err == nil {
		ring, err = ReadFile(f.path)
	}
	if err != nil {
		if f.seen.err != err.Error() {
			f.log.Error("escrow: the file of the master keys cannot be read; those that were read before stay in use", "error", err)
			f.seen.err = err.Error()
		}
		return f.ring
	}
	f.ring, f.seen = ring, state{info: info}
	f.log.Info("escrow: read the master keys", "file", f.path, "keys", len(ring), "wraps", ring[0].Name())
	return f.ring
}

// ID names the first key of the file.
func (f *File) ID() string { return f.masters()[0].Name() }

// Wrap wraps under the first key of the file.
func (f *File) Wrap(_ context.Context, key, bound []byte) ([]byte, error) {
	m := f.masters()[0]
	return seal(m.Name(), nil, m.key[:], key, bound)
}

// Unwrap takes the key of the file that the wrapped one names.
func (f *File) Unwrap(_ context.Context, wrapped, bound []byte) ([]byte, error) {
	b, err := readBlob(wrapped)
	if err != nil {
		return nil, err
	}
	ring := f.masters()
	i := slices.IndexFunc(ring, func(m Master) bool { return m.Name() == b.master })
	if i < 0 {
		return nil, fmt.Errorf("%w: %s", ErrUnknownKey, printable(b.master))
	}
	if len(b.dataKey) > 0 {
		return nil, ErrOpen
	}
	return b.open(ring[i].key[:], bound)
}

// printable keeps what a damaged database says out of the terminal.
func printable(s string) string {
	for _, r := range s {
		if r <= ' ' || r > '~' {
			return fmt.Sprintf("%q", s)
		}
	}
	return s
}

// A Master is one master key.
type Master struct {
	ID      string    // 16 hexadecimal digits, made of the key
	Created time.Time // to the second
	key     [32]byte
}

// Name is the key's name in the database.
func (m Master) Name() string { return "file:" + m.ID }

// String leaves the key out.
func (m Master) String() string { return m.Name() }

// GoString leaves the key out.
func (m Master) GoString() string { return m.Name() }
