package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sealpost/internal/testkit"
	"sealpost/lookup/keydb"
)

// A backup is made beside the running server, and refused to be put back while
// it runs. After it was, the server knows what the backup knew, tokens included,
// and who followed the changes is told to begin anew.
func TestDirectoryBackupAndRestore(t *testing.T) {
	in := aDirectory(t, "")
	kept, lost := in.person(t, "kept@example.org"), in.person(t, "lost@example.org")
	in.start(t)
	client := in.keydb(t, in.token(t, "write,read,feed"), nil)
	publish := func(id *testkit.Identity) {
		if _, err := client.Publish(t.Context(), keydb.Publication{DER: id.Cert.Raw}); err != nil {
			t.Fatal(err)
		}
	}
	publish(kept)
	backup := filepath.Join(in.dir, "backup.db")
	in.directory(t, exitOK, "backup", backup)
	if info, err := os.Stat(backup); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info, err)
	}
	if said := in.directory(t, exitFailed, "backup", backup); !strings.Contains(said, "exists") {
		t.Errorf("over a backup that is there: %s", said)
	}
	publish(lost)
	before, err := client.Changes(t.Context(), "", 100, 0)
	if err != nil || len(before.Changes) != 2 {
		t.Fatalf("%+v, %v", before, err)
	}
	if said := in.directory(t, exitFailed, "restore", backup); !strings.Contains(said, "stop it first") {
		t.Errorf("while the server runs: %s", said)
	}
	in.stop(t)
	bad := in.write(t, "bad.db", "this is no backup")
	in.directory(t, exitFailed, "restore", bad)
	in.directory(t, exitFailed, "restore", filepath.Join(in.dir, "keys.db")) // the database itself
	in.directory(t, exitOK, "restore", backup)
	in.launch(t)
	if _, err := client.Changes(t.Context(), before.Next, 100, 0); !errors.Is(err, keydb.ErrCursor) {
		t.Errorf("a cursor from before: %v", err)
	}
	after, err := client.Changes(t.Context(), "", 100, 0)
	if err != nil || len(after.Changes) != 1 || after.Changes[0].Address != "kept@example.org" {
		t.Errorf("%+v, %v", after, err)
	}
	// The index is a copy of before; lookups must not answer from it.
	testkit.Poll(t, "the index to begin anew", func() bool {
		_, err := client.Lookup(t.Context(), parsed(t, "lost@example.org"))
		return errors.Is(err, keydb.ErrNone)
	})
	if a, err := client.Lookup(t.Context(), parsed(t, "kept@example.org")); err != nil || len(a.Certificates) != 1 {
		t.Errorf("%+v, %v", a, err)
	}
}

// A database on a server has its own programs for this.
func TestDirectoryBackupOfPostgres(t *testing.T) {
	in := aDirectory(t, "")
	text, err := os.ReadFile(in.config)
	if err != nil {
		t.Fatal(err)
	}
	in.write(t, "directory.yaml", strings.Replace(string(text), "{file: keys.db}", "{postgres_url_file: pg.url}\n  index: keys.index", 1))
	in.write(t, "pg.url", "postgres://nobody@127.0.0.1:1/none\n")
	if said := in.directory(t, exitUsage, "restore", filepath.Join(in.dir, "backup.db")); !strings.Contains(said, "pg_restore") {
		t.Error(said)
	}
}
