package testkit

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// privateDir makes a folder with a short path that others may enter and that
// goes when the test ends. t.TempDir is neither: it puts the test's name into
// the path, which is too long for Unix sockets, and shuts other users out.
func privateDir(t testing.TB, name string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "sealpost-"+name+"-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("%s stays behind: %v", dir, err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// sbin finds a program also where only root's PATH leads.
func sbin(program string) string {
	if path, err := exec.LookPath(program); err == nil {
		return path
	}
	return filepath.Join("/usr/sbin", program)
}
