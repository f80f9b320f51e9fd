package testkit

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A Canary is a random word that a test puts into the plaintext of a message
// and then looks for wherever plaintext must not be.
type Canary string

// NewCanary makes a canary. It is made of lower-case letters and digits, so
// that no transfer encoding needs to change it.
func NewCanary(t testing.TB) Canary {
	t.Helper()
	return Canary("canary" + strings.ToLower(rand.Text()))
}

// FoundIn says in what form the canary is in data: "as it is", "base64",
// "hex"; "" when it is not there. Line breaks, the soft ones of
// quoted-printable too, do not hide it.
func (c Canary) FoundIn(data []byte) string {
	// Files that are made in advance are mostly zeros, which hide nothing.
	data = unbroken(bytes.TrimRight(data, "\x00"))
	for _, form := range c.base64() {
		if bytes.Contains(data, form) {
			return "base64"
		}
	}
	lower(data)
	if bytes.Contains(data, []byte(c)) {
		return "as it is"
	}
	if bytes.Contains(data, []byte(hex.EncodeToString([]byte(c)))) {
		return "hex"
	}
	return ""
}

// base64 gives the canary's base64 at the three offsets at which it can stand,
// less the characters at either end that also depend on its neighbours.
func (c Canary) base64() [][]byte {
	var forms [][]byte
	for offset := range 3 {
		padded := append(make([]byte, offset), c...)
		text := base64.RawStdEncoding.EncodeToString(padded)
		first := (offset*8 + 5) / 6
		last := len(padded) * 8 / 6
		forms = append(forms, []byte(text[first:last]))
	}
	return forms
}

// Absent fails the test when the canary is in data; where says what data is.
func (c Canary) Absent(t testing.TB, where string, data []byte) {
	t.Helper()
	if form := c.FoundIn(data); form != "" {
		t.Errorf("PLAINTEXT: the canary is in %s, %s", where, form)
	}
}

// AbsentInTree fails the test when the canary is in any file below the
// directories, or in a file's name.
func (c Canary) AbsentInTree(t testing.TB, dirs ...string) {
	t.Helper()
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			c.Absent(t, "the name "+path, []byte(d.Name()))
			if !d.Type().IsRegular() {
				return nil
			}
			data, err := os.ReadFile(path)
			c.Absent(t, path, data)
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
}

// lower makes ASCII letters small. For other bytes, of which a spool is full,
// bytes.ToLower is slow.
func lower(data []byte) {
	for i, b := range data {
		if b >= 'A' && b <= 'Z' {
			data[i] = b | 0x20
		}
	}
}

// unbroken takes out the line breaks, soft ones first, that an encoding puts
// between the pieces of a word. It gives a copy.
func unbroken(data []byte) []byte {
	for _, s := range []string{"=\r\n", "=\n", "\r\n", "\n"} {
		data = bytes.ReplaceAll(data, []byte(s), nil)
	}
	return data
}
