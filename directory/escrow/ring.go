package escrow

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Errors of the file of master keys, beside those of the system.
var (
	ErrNoMaster  = errors.New("there is no master key in it: make one with `sealpost directory escrow init`")
	ErrMaster    = errors.New("is no master key of Sealpost, or was damaged")
	ErrLast      = errors.New("it is the key that wraps: rotate first")
	ErrNotInFile = errors.New("there is no such master key in the file")
	ErrBusy      = errors.New("another command is changing the file, or was killed while it did: if none runs, delete this one")
)

const (
	keyWord  = "sealpost-escrow-key-1" // begins each key's line
	maxRing  = 64 << 10                // bytes of the file
	ringHead = `# Master keys of a Sealpost directory. The first one wraps private keys that are
# in escrow, the others open what was wrapped before. Without this file nobody
# can claim a key; with it and the database, all mail to them can be read. Keep
# a copy on another medium, and never beside a backup of the database.
`
)

func newMaster(now time.Time) Master {
	var m Master
	rand.Read(m.key[:])
	m.Created = now.UTC().Truncate(time.Second)
	m.ID = idOf(m.key)
	return m
}

// idOf is a hash of the key that tells nothing about it.
func idOf(key [32]byte) string {
	sum := sha256.Sum256(append([]byte("sealpost escrow master key\n"), key[:]...))
	return hex.EncodeToString(sum[:8])
}

// ReadFile reads a file of master keys, the one that wraps first. Its errors name
// a line, and never show what stands there.
func ReadFile(path string) ([]Master, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxRing+1))
	if err != nil {
		return nil, err
	}
	defer clear(text)
	ring, err := parseRing(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return ring, nil
}

func parseRing(text []byte) ([]Master, error) {
	if len(text) > maxRing {
		return nil, ErrMaster
	}
	var ring []Master
	number := 0
	for line := range bytes.Lines(text) {
		number++
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		m, ok := parseMaster(string(line))
		if !ok {
			return nil, fmt.Errorf("line %d %w", number, ErrMaster)
		}
		if slices.ContainsFunc(ring, func(o Master) bool { return o.ID == m.ID }) {
			return nil, fmt.Errorf("line %d: the key %s is there twice", number, m.ID)
		}
		ring = append(ring, m)
	}
	if len(ring) == 0 {
		return nil, ErrNoMaster
	}
	return ring, nil
}

func parseMaster(line string) (m Master, ok bool) {
	fields := strings.Fields(line)
	if len(fields) != 4 || fields[0] != keyWord {
		return m, false
	}
	key, err := base64.StdEncoding.DecodeString(fields[3])
	if err != nil || len(key) != len(m.key) {
		return m, false
	}
	copy(m.key[:], key)
	clear(key)
	m.ID = fields[1]
	m.Created, err = time.Parse(time.RFC3339, fields[2])
	return m, err == nil && m.ID == idOf(m.key)
}

func formatRing(ring []Master) []byte {
	var b bytes.Buffer
	b.WriteString(ringHead)
	for _, m := range ring {
		fmt.Fprintf(&b, "%s %s %s %s\n", keyWord, m.ID, m.Created.Format(time.RFC3339), base64.StdEncoding.EncodeToString(m.key[:]))
	}
	return b.Bytes()
}

// CreateFile makes a file with one master key, which only its owner can read. It
// must not be there: who overwrites a master key loses all that it wrapped.
func CreateFile(path string, now time.Time) (Master, error) {
	m := newMaster(now)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return Master{}, err
	}
	return m, errors.Join(writeDurably(f, []Master{m}), syncDir(path))
}

// AddMaster puts a new key at the end of a file: it is known from then on, and
// wraps nothing yet. It is the newest there, whatever the clock says.
func AddMaster(path string, now time.Time) (Master, error) {
	m := newMaster(now)
	err := changeRing(path, func(ring []Master) ([]Master, error) {
		for _, o := range ring {
			if !m.Created.After(o.Created) {
				m.Created = o.Created.Add(time.Second)
			}
		}
		return append(ring, m), nil
	})
	return m, err
}

// UseMaster makes the key with this id the one that wraps.
func UseMaster(path, id string) error {
	return changeRing(path, func(ring []Master) ([]Master, error) {
		i := slices.IndexFunc(ring, func(m Master) bool { return m.ID == id })
		if i < 0 {
			return nil, ErrNotInFile
		}
		m := ring[i]
		return slices.Insert(slices.Delete(ring, i, i+1), 0, m), nil
	})
}

// DropMaster takes a key out of a file. What is still wrapped under it, in the
// database or in a backup, opens no more. The error is ErrLast for the one that
// wraps.
func DropMaster(path, id string) error {
	return changeRing(path, func(ring []Master) ([]Master, error) {
		switch i := slices.IndexFunc(ring, func(m Master) bool { return m.ID == id }); i {
		case -1:
			return nil, ErrNotInFile
		case 0:
			return nil, ErrLast
		default:
			return slices.Delete(ring, i, i+1), nil
		}
	})
}

// changeRing puts a changed file in the place of the one before, whole and
// durable, with the same owner and mode. The new file's name is the lock: of two
// who change it at once one has ErrBusy, and no key gets lost.
func changeRing(path string, change func([]Master) ([]Master, error)) (err error) {
	temporary := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".new")
	f, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%w: %s", ErrBusy, temporary)
	}
	if err != nil {
		return err
	}
	ours := true
	defer func() {
		if ours {
			err = errors.Join(err, os.Remove(temporary))
		}
	}()
	info, err := os.Stat(path)
	var ring []Master
	if err == nil {
		ring, err = ReadFile(path)
	}
	if err == nil {
		ring, err = change(ring)
	}
	if err == nil {
		err = sameOwner(f, info)
	}
	if err == nil {
		err = f.Chmod(info.Mode().Perm())
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	if err := writeDurably(f, ring); err != nil {
		return err
	}
	if err := os.Rename(temporary, path); err != nil {
		return err
	}
	ours = false
	return syncDir(path)
}

// writeDurably writes and closes.
func writeDurably(f *os.File, ring []Master) error {
	text := formatRing(ring)
	defer clear(text)
	_, err := f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func syncDir(path string) error {
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
