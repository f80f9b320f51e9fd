package claim_test

import (
	"crypto/sha256"
	"database/sql"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"sealpost/directory/claim"
)

// Who can write to the database, has a mailbox of his own with a notice in it,
// and does not have the portal's key, gets nobody else's key.
func TestWriterOfTheDatabaseGetsNoKey(t *testing.T) {
	for _, attack := range []struct {
		name string
		try  func(t *testing.T, w *world, victim *writerVictim) (session string, err error)
	}{
		{"a session is planted", func(t *testing.T, w *world, v *writerVictim) (string, error) {
			secret := strings.Repeat("A", 43)
			hash := sha256.Sum256([]byte(secret))
			v.write(t, "INSERT INTO claim_session (hash, notice, complete, proof, created, expires) VALUES (?, ?, 1, ?, 0, ?)",
				hash[:], v.notice, make([]byte, 32), time.Now().Add(time.Hour).Unix())
			return secret, nil
		}},
		{"a session of his own is made another's", func(t *testing.T, w *world, v *writerVictim) (string, error) {
			secret, _, _ := w.enter(t, bert)
			v.write(t, "UPDATE claim_session SET notice = ?", v.notice)
			return secret, nil
		}},
		{"the notice of such a session is", func(t *testing.T, w *world, v *writerVictim) (string, error) {
			secret, _, _ := w.enter(t, bert)
			v.write(t, "UPDATE notice SET fingerprint = ?, address = ? WHERE address = ?", v.fingerprint[:], anna, bert)
			return secret, nil
		}},
		{"a notice of his own is, before he uses it", func(t *testing.T, w *world, v *writerVictim) (string, error) {
			w.provision(t, bert, "")
			l := w.notice(t, bert)
			v.write(t, "UPDATE notice SET fingerprint = ?, address = ? WHERE address = ?", v.fingerprint[:], anna, bert)
			secret, _, err := w.engine.Prove(t.Context(), claim.Proof{Token: l.token, Code: l.code, Client: home})
			return secret, err
		}},
		{"a notice about another's key is sent to him", func(t *testing.T, w *world, v *writerVictim) (string, error) {
			v.write(t, "UPDATE notice SET address = ?, due = 1, sent = 0", bert)
			if err := w.engine.SendDue(t.Context()); err != nil {
				t.Fatal(err)
			}
			all := w.post.all()
			if len(all) != 2 || all[1].to != bert {
				t.Fatalf("%d letters", len(all))
			}
			l := read(t, all[1].message)
			secret, _, err := w.engine.Prove(t.Context(), claim.Proof{Token: l.token, Code: l.code, Client: home})
			return secret, err
		}},
		{"and the key is said to be his", func(t *testing.T, w *world, v *writerVictim) (string, error) {
			v.write(t, "UPDATE notice SET address = ?, due = 1, sent = 0", bert)
			v.write(t, "UPDATE escrow SET address = ?", bert)
			if err := w.engine.SendDue(t.Context()); err != nil {
				t.Fatal(err)
			}
			l := read(t, w.post.all()[1].message)
			secret, _, err := w.engine.Prove(t.Context(), claim.Proof{Token: l.token, Code: l.code, Client: home})
			return secret, err
		}},
	} {
		t.Run(attack.name, func(t *testing.T) {
			w := newWorld(t)
			id := w.provision(t, anna, "")
			w.notice(t, anna)
			v := &writerVictim{file: filepath.Join(w.dir, "directory.db"), fingerprint: fingerprint(id)}
			v.read(t, "SELECT id FROM notice", &v.notice)
			secret, err := attack.try(t, w, v)
			if err == nil {
				_, err = w.engine.PKCS12(t.Context(), secret, good, claim.Modern)
			}
			if err == nil {
				t.Error("the key was handed over")
			}
		})
	}
}

// A writerVictim is whose key is wanted, and the database in which it lies.
type writerVictim struct {
	file, notice string
	fingerprint  [32]byte
}

func (v *writerVictim) open(t *testing.T) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", v.file+"?_pragma=busy_timeout(10000)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func (v *writerVictim) write(t *testing.T, statement string, args ...any) {
	t.Helper()
	done, err := v.open(t).ExecContext(t.Context(), statement, args...)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := done.RowsAffected(); err != nil || n != 1 {
		t.Fatalf("%d rows were changed, %v", n, err)
	}
}

func (v *writerVictim) read(t *testing.T, query string, into any) {
	t.Helper()
	if err := v.open(t).QueryRowContext(t.Context(), query).Scan(into); err != nil {
		t.Fatal(err)
	}
}
