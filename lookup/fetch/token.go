package fetch

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
)

const maxTokenFile = 16 << 10

// ReadToken reads a bearer token from a file: one line of visible ASCII. The
// errors never hold what is in the file. Without a file there is no token.
func ReadToken(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("lookup: bearer token: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxTokenFile+1))
	if err != nil {
		return "", fmt.Errorf("lookup: bearer token: %w", err)
	}
	if len(data) > maxTokenFile {
		return "", fmt.Errorf("lookup: bearer token: %s has more than %d bytes, and no token is so long", path, maxTokenFile)
	}
	token := strings.TrimSpace(string(data))
	if token == "" || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", fmt.Errorf("lookup: bearer token: %s does not hold one line of visible ASCII", path)
	}
	return token, nil
}

// A TokenFile is a bearer token in a file that may be exchanged at any time.
type TokenFile struct {
	path string

	mu    sync.Mutex
	token string
	info  os.FileInfo // of the file that token was read from
}

// NewTokenFile reads the token for the first time.
func NewTokenFile(path string) (*TokenFile, error) {
	t := &TokenFile{path: path}
	_, err := t.Token()
	return t, err
}

// Token is what the file holds now. While it cannot be read, or holds no
// token, that is an error: the old token may have been withdrawn for a reason.
func (t *TokenFile) Token() (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	info, err := os.Stat(t.path)
	if err != nil {
		return "", fmt.Errorf("lookup: bearer token: %w", err)
	}
	if t.info != nil && os.SameFile(info, t.info) && info.Size() == t.info.Size() && info.ModTime().Equal(t.info.ModTime()) {
		return t.token, nil
	}
	token, err := ReadToken(t.path)
	if err != nil {
		return "", err
	}
	t.token, t.info = token, info
	return token, nil
}
