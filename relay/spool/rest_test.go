package spool

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestCanary searches everything the store leaves on the disk for what must
// never be there in the clear.
func TestCanary(t *testing.T) {
	ctx := context.Background()
	const canary = "CANARY-4711-plaintext"
	var logged bytes.Buffer
	opt := small(t, nil)
	opt.Log = slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s := mustOpen(t, opt)
	for n, size := range []int{10, smallBody, largeBody, 200_000} {
		e := Entry{
			ID: fmt.Sprintf("m%d", n), Private: true, Meta: []byte("from " + canary),
			Parcels: []Parcel{{Meta: []byte("to " + canary), State: State{Note: []byte("note " + canary)}}, {Meta: []byte(canary)}},
			Body:    text(strings.Repeat(canary+"\r\n", size/20+1)),
		}
		mustPut(t, s, e)
		if err := s.Update(ctx, Ref{e.ID, 0}, State{Note: []byte("550 " + canary)}); err != nil {
			t.Fatal(err)
		}
		if err := s.RecordAttempt(ctx, clock(), Ref{e.ID, 1}); err != nil {
			t.Fatal(err)
		}
	}
	searchFiles(t, opt.Dir, canary)
	mustClose(t, s)
	searchFiles(t, opt.Dir, canary, opt.Identity.identity.String())
	if strings.Contains(logged.String(), canary) {
		t.Error("the canary is in the log")
	}
	if text := fmt.Sprintf("%v %+v %#v %s", opt.Identity, opt.Identity, opt.Identity, opt.Identity); strings.Contains(text, "AGE-SECRET") {
		t.Error("a key prints its secret")
	}
}

func searchFiles(t *testing.T, dir string, canaries ...string) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files++
		raw, err := os.ReadFile(path)
		for _, canary := range canaries {
			if bytes.Contains(raw, []byte(canary)) {
				t.Errorf("%q is in %s", canary, path)
			}
		}
		return err
	})
	if err != nil || files < 5 {
		t.Fatalf("searched %d files: %v", files, err)
	}
}

func TestSealedSize(t *testing.T) {
	s := newStore(small(t, newMemFS()).withDefaults())
	for _, n := range []int{0, 1, ageChunk - 1, ageChunk, ageChunk + 1, 3*ageChunk + 5} {
		var out bytes.Buffer
		if err := s.writeContent(&out, &Entry{Private: true, Body: make(text, n)}); err != nil {
			t.Fatal(err)
		}
		if int64(out.Len()) != sealedSize(int64(n)) {
			t.Errorf("%d bytes are sealed in %d, expected %d", n, out.Len(), sealedSize(int64(n)))
		}
	}
}
