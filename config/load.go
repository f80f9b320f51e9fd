package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// MaxSize is the largest configuration file that is read, in bytes.
const MaxSize = 1 << 20

// Load reads and checks a configuration file and the files it names. The error
// is an ErrorList with every mistake. The problems beside a usable
// configuration are warnings.
func Load(file string) (*Config, []Problem, error) {
	data, err := readFile(file, MaxSize)
	if err != nil {
		return nil, nil, ErrorList{{File: file, Text: err.Error()}}
	}
	return Parse(file, data)
}

// Parse is Load for a file whose content is at hand. Relative paths are taken
// from the folder of file, which itself need not exist.
func Parse(file string, data []byte) (*Config, []Problem, error) {
	return parse(file, data, surroundings{hostname: os.Hostname, now: time.Now})
}

// surroundings are what a configuration depends on beside its own text.
type surroundings struct {
	hostname func() (string, error)
	now      func() time.Time
}

func parse(file string, data []byte, around surroundings) (*Config, []Problem, error) {
	folder, err := filepath.Abs(filepath.Dir(file))
	if err != nil {
		return nil, nil, ErrorList{{File: file, Text: "the working directory is gone: " + plainError(err)}}
	}
	found := &findings{file: file, lines: map[string]int{}}
	config := new(Config)
	if root := readYAML(data, found); root != nil {
		d := &decoder{findings: found, folder: folder}
		d.root(root, config)
		found.misread = len(found.errors)
		complete(config, found, around)
		check(config, found, around)
	}
	errs, warnings := found.sorted()
	if len(errs) > 0 {
		return nil, warnings, errs
	}
	return config, warnings, nil
}

// readFile reads a regular file of bounded size. The errors are for people and
// do not repeat the path.
func readFile(path string, limit int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, errors.New("cannot be read: " + plainError(err))
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("cannot be read: it is not a regular file")
	}
	if info.Size() > limit {
		return nil, fmt.Errorf("is larger than %s", Size(limit))
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, errors.New("cannot be read: " + plainError(err))
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, errors.New("cannot be read: " + plainError(err))
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("is larger than %s", Size(limit))
	}
	return data, nil
}

// plainError is the system's own word, without operation and path.
func plainError(err error) string {
	var pe *os.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	return err.Error()
}
