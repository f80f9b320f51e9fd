package config

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestLoad(t *testing.T) {
	dir := workFolder(t)
	good := filepath.Join(dir, "sealpost.yaml")
	if err := os.WriteFile(good, []byte(withBase("")), 0o644); err != nil {
		t.Fatal(err)
	}
	// Whatever the working directory is, paths start at the file's folder.
	t.Chdir(filepath.Dir(dir))
	c, _, err := Load(filepath.Join(filepath.Base(dir), "sealpost.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := c.Lookup.Sources[0].Dir, Path(filepath.Join(dir, "certs")); got != want {
		t.Errorf("dir is %s, want %s", got, want)
	}

	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	large := filepath.Join(dir, "large.yaml")
	if err := os.WriteFile(large, make([]byte, MaxSize+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{filepath.Join(dir, "none.yaml"), dir, pipe, large} {
		_, _, err := Load(file)
		var list ErrorList
		if !errors.As(err, &list) || len(list) != 1 || list[0].File != file || list[0].Line != 0 {
			t.Errorf("%s: got %v", file, err)
		}
	}
}

func TestReadSecret(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	for content, want := range map[string]string{
		"open sesame":     "open sesame",
		"open sesame\n":   "open sesame",
		"open sesame\r\n": "open sesame",
		" blanks count ":  " blanks count ",
		"":                "",
		" \n":             "",
		"one\ntwo\n":      "",
		"one\n\n":         "",
		"one\x00":         "",
	} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := ReadSecret(Path(path))
		if got != want || (err != nil) != (want == "") {
			t.Errorf("%q: got %q, %v", content, got, err)
		}
	}
}

func TestReadRoots(t *testing.T) {
	dir := workFolder(t)
	pool, err := ReadRoots(nil)
	if pool != nil || err != nil {
		t.Errorf("without files: %v, %v", pool, err)
	}
	if _, err := ReadRoots([]Path{Path(dir + "/roots.pem"), Path(dir + "/relay.pem")}); err != nil {
		t.Error(err)
	}
	for _, file := range []string{"none.pem", "relay.key", "pass"} {
		if _, err := ReadRoots([]Path{Path(filepath.Join(dir, file))}); err == nil {
			t.Errorf("%s was taken", file)
		}
	}
}

func TestSizesReadAsWritten(t *testing.T) {
	for _, n := range []Size{0, 1, 999, 1000, 1024, 1500, 1 << 20, 50 << 20, 10e6, 3 << 30, 1<<62 + 1} {
		if got, err := ParseSize(n.String()); err != nil || got != n {
			t.Errorf("%d is written %s and read %d, %v", int64(n), n, int64(got), err)
		}
	}
}
