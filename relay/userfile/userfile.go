// Package userfile reads the users that may log in from a file as
// `htpasswd -B` writes it: one NAME:HASH a line, bcrypt only.
package userfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"

	"golang.org/x/crypto/bcrypt"
)

const (
	maxFile = 8 << 20 // bytes; some hundred thousand users
	maxCost = 15      // a login at 16 takes seconds of CPU, which a stranger can ask for
)

// Users are the users of one file. All methods may be called concurrently.
type Users struct {
	path  string
	table atomic.Pointer[table]
}

// A table is the content of the file at one time.
type table struct {
	hashes map[string][]byte
	decoy  []byte // what unknown users are compared with: the costliest hash
}

// A LineError is one line of the file that is not a user.
type LineError struct {
	Line int // from 1
	Text string
}

// Error is the text with its line; the path is the caller's to add.
func (e *LineError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Text) }

// ErrNoUsers says that the file holds no user at all.
var ErrNoUsers = errors.New("holds no users")

// Open reads the file. Its mistakes come as one error that joins a *LineError
// for each.
func Open(path string) (*Users, error) {
	u := &Users{path: path}
	if err := u.Reload(); err != nil {
		return nil, err
	}
	return u, nil
}

// Reload reads the file again. When it fails, the users from before stay.
func (u *Users) Reload() error {
	f, err := os.Open(u.path)
	if err != nil {
		return err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return err
	}
	if len(data) > maxFile {
		return fmt.Errorf("is larger than %d bytes", maxFile)
	}
	t, err := parse(data)
	if err != nil {
		return err
	}
	u.table.Store(t)
	return nil
}

// Len is the number of users.
func (u *Users) Len() int { return len(u.table.Load().hashes) }

// Check reports whether the password is the user's. An unknown user costs as
// much time as a known one, so that names cannot be found out. Names are
// compared exactly.
func (u *Users) Check(user, password string) bool {
	t := u.table.Load()
	hash, known := t.hashes[user]
	if !known {
		hash = t.decoy
	}
	matches := bcrypt.CompareHashAndPassword(hash, []byte(password)) == nil
	return matches && known
}

// parse reads the lines. Empty ones and comments (#) are passed over.
func parse(data []byte) (*table, error) {
	t := &table{hashes: map[string][]byte{}}
	var faults []error
	number, costliest := 0, 0
	for raw := range bytes.Lines(data) {
		number++
		line := strings.TrimSpace(string(raw))
		if line == "" || line[0] == '#' {
			continue
		}
		name, hash, cost, err := parseLine(line)
		if _, twice := t.hashes[name]; err == nil && twice {
			err = fmt.Errorf("the user %q stands twice", name)
		}
		if err != nil {
			faults = append(faults, &LineError{number, err.Error()})
			continue
		}
		t.hashes[name] = hash
		if cost > costliest {
			costliest, t.decoy = cost, hash
		}
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	if len(t.hashes) == 0 {
		return nil, ErrNoUsers
	}
	return t, nil
}

// parseLine reads one user. No error repeats what may be a password.
func parseLine(line string) (name string, hash []byte, cost int, err error) {
	name, text, ok := strings.Cut(line, ":")
	if !ok || name == "" {
		return "", nil, 0, errors.New("is not NAME:HASH")
	}
	if !strings.HasPrefix(text, "$2") {
		return "", nil, 0, fmt.Errorf("the hash of %q is not bcrypt: make it with htpasswd -B", name)
	}
	cost, err = bcrypt.Cost([]byte(text))
	switch {
	case err != nil || len(text) != 60:
		return "", nil, 0, fmt.Errorf("the hash of %q is damaged", name)
	case cost > maxCost:
		return "", nil, 0, fmt.Errorf("the hash of %q has cost %d, and %d is the highest that is allowed", name, cost, maxCost)
	}
	return name, []byte(text), cost, nil
}
