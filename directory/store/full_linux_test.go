package store_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"sealpost/directory/store"
	"sealpost/internal/testkit"
)

// A full disk is an error, after which everything is as before; and when there
// is room again, it goes on by itself.
func TestFullDisk(t *testing.T) {
	testkit.NeedRoot(t)
	w := newWorld(t, kinds[0])
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=6m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	w.url = "sqlite:" + filepath.Join(dir, "directory.db")
	s, m := w.open(t), newMould(t, w.ca)
	add(t, s, m.list(t, 100)...)
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 4<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	there := 100
	var err error
	for err == nil && there < 10000 {
		if _, err = s.Add(t.Context(), m.list(t, there+50)[there:]); err == nil {
			there += 50
		}
	}
	if !errors.Is(err, store.ErrFull) {
		t.Fatalf("after %d certificates: %v", there, err)
	}
	f := newFollower()
	f.follow(t, s, 10000)
	if len(f.has) != there {
		t.Errorf("%d addresses, want %d", len(f.has), there)
	}
	compare(t, s, f)
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	add(t, s, m.list(t, there+50)[there:]...)
	f.follow(t, s, 10000)
	compare(t, s, f)
}
