package store_test

import (
	"errors"
	"fmt"
	"math/big"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"sealpost/directory/store"
)

// logged gives a store whose log has records of each kind of content.
func logged(t *testing.T, w *world, n int) *store.Store {
	t.Helper()
	s := w.open(t)
	for i := range n {
		a := store.Audit{Kind: store.AuditKeyUsed, Address: fmt.Sprintf("a%d@example.org", i), Actor: "portal", Detail: "claim\x00\n" + fmt.Sprint(i)}
		a.Fingerprint[0] = byte(i)
		if err := s.Record(t.Context(), a); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func TestAuditLog(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		s := logged(t, w, 5)
		if err := s.Record(t.Context(), store.Audit{Kind: store.AuditIssued}); err != nil {
			t.Fatal(err)
		}
		list, err := s.AuditLog(t.Context(), 1, 100)
		if err != nil || len(list) != 5 {
			t.Fatal(list, err)
		}
		if a := list[0]; a.Seq != 2 || a.Kind != store.AuditKeyUsed || a.Address != "a1@example.org" || a.Actor != "portal" ||
			a.Detail != "claim  1" || a.Fingerprint[0] != 1 || !a.At.Equal(w.now) || a.Hash == ([32]byte{}) {
			t.Errorf("%+v", a)
		}
		if a := list[4]; a.Fingerprint != ([32]byte{}) || a.Address != "" {
			t.Errorf("%+v", a)
		}
		if list, err := s.AuditLog(t.Context(), 2, 2); err != nil || len(list) != 2 || list[1].Seq != 4 {
			t.Error(list, err)
		}
		state, err := s.VerifyAudit(t.Context(), &list[2].Hash)
		if err != nil || state.Records != 6 || state.Head != list[4].Hash {
			t.Errorf("%+v, %v", state, err)
		}
		head, err := s.AuditHead(t.Context())
		if err != nil || head != state {
			t.Errorf("%+v, %v", head, err)
		}
	})
}

// A transaction that fails leaves no record, and many at once leave no gap.
func TestAuditIsPartOfTheTransaction(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		s := logged(t, w, 1)
		trouble := errors.New("trouble")
		two := []store.Audit{{Kind: store.AuditIssued}, {Kind: store.AuditProvisioned}}
		if err := s.RecordAll(t.Context(), two, trouble); !errors.Is(err, trouble) {
			t.Fatal(err)
		}
		other := w.open(t)
		var all sync.WaitGroup
		for i := range 20 {
			all.Go(func() {
				if err := []*store.Store{s, other}[i%2].RecordAll(t.Context(), two, nil); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if state, err := s.VerifyAudit(t.Context(), nil); err != nil || state.Records != 41 {
			t.Errorf("%+v, %v", state, err)
		}
	})
}

// Whatever somebody changes in the table is found out.
func TestAuditTampering(t *testing.T) {
	for _, c := range []struct {
		name, statement string
		good            uint64 // records before the first one that does not fit
		onlyByHead      bool
	}{
		{"detail", "UPDATE audit SET detail = 'nothing' WHERE seq = 3", 2, false},
		{"actor", "UPDATE audit SET actor = 'operator' WHERE seq = 3", 2, false},
		{"address", "UPDATE audit SET address = 'b@example.org' WHERE seq = 1", 0, false},
		{"kind", "UPDATE audit SET kind = 'issued' WHERE seq = 5", 4, false},
		{"time", "UPDATE audit SET at = at + 1 WHERE seq = 4", 3, false},
		{"certificate", "UPDATE audit SET fingerprint = (SELECT fingerprint FROM audit WHERE seq = 5) WHERE seq = 4", 3, false},
		{"hash", "UPDATE audit SET hash = (SELECT hash FROM audit WHERE seq = 5) WHERE seq = 4", 3, false},
		{"moved between fields", "UPDATE audit SET actor = 'port', detail = 'al' || detail WHERE seq = 2", 1, false},
		{"one out", "DELETE FROM audit WHERE seq = 3", 2, false},
		{"the first out", "DELETE FROM audit WHERE seq = 1", 0, false},
		{"the end cut off", "DELETE FROM audit WHERE seq > 3", 3, true},
		{"all out", "DELETE FROM audit", 0, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			everywhere(t, func(t *testing.T, w *world) {
				s := logged(t, w, 5)
				head, err := s.AuditHead(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if err := s.Tamper(t.Context(), c.statement); err != nil {
					t.Fatal(err)
				}
				state, err := s.VerifyAudit(t.Context(), nil)
				if errors.Is(err, store.ErrAudit) == c.onlyByHead || state.Records != c.good {
					t.Errorf("%+v, %v", state, err)
				}
				if _, err := s.VerifyAudit(t.Context(), &head.Head); !errors.Is(err, store.ErrAudit) {
					t.Errorf("with the head: %v", err)
				}
			})
		})
	}
}

// A log made anew, with every hash right, is not the one whose head was noted.
func TestAuditMadeAnew(t *testing.T) {
	w := newWorld(t, kinds[0])
	s := logged(t, w, 3)
	head, err := s.AuditHead(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Tamper(t.Context(), "DELETE FROM audit"); err != nil {
		t.Fatal(err)
	}
	if err := s.RecordAll(t.Context(), make([]store.Audit, 3), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := s.VerifyAudit(t.Context(), nil); err != nil {
		t.Errorf("a chain of its own: %v", err)
	}
	if _, err := s.VerifyAudit(t.Context(), &head.Head); !errors.Is(err, store.ErrAudit) {
		t.Errorf("%v", err)
	}
}

// The log goes on in a database that was restored, and says so.
func TestAuditAfterRestore(t *testing.T) {
	w := newWorld(t, kinds[0])
	s := logged(t, w, 2)
	backup := filepath.Join(t.TempDir(), "backup")
	if err := s.Backup(t.Context(), backup); err != nil {
		t.Fatal(err)
	}
	w.url = "sqlite:" + filepath.Join(t.TempDir(), "restored")
	if err := store.Restore(t.Context(), backup, w.url); err != nil {
		t.Fatal(err)
	}
	restored := w.open(t)
	list, err := restored.AuditLog(t.Context(), 0, 10)
	if err != nil || len(list) != 3 || list[2].Kind != store.AuditRestored {
		t.Fatal(list, err)
	}
	if _, err := restored.VerifyAudit(t.Context(), &list[1].Hash); err != nil {
		t.Error(err)
	}
}

// What OCSP and CRL ask: certificates of the directory's own authority, and no
// others.
func TestIssuedAndRevoked(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		s := w.open(t)
		ours, other := w.cert(t, "anna@example.org"), w.cert(t, "bert@example.org")
		add(t, s, store.New{Cert: ours, Origin: store.OriginIssued}, store.New{Cert: other})
		if r, err := s.Issued(t.Context(), ours.Serial); err != nil || r != nil {
			t.Fatal(r, err)
		}
		if _, err := s.Issued(t.Context(), other.Serial); !errors.Is(err, store.ErrNotFound) {
			t.Error(err)
		}
		if _, err := s.Issued(t.Context(), new(big.Int)); !errors.Is(err, store.ErrNotFound) {
			t.Error(err)
		}
		for _, c := range [][32]byte{ours.Fingerprint(), other.Fingerprint(), ours.Fingerprint()} { // the last changes nothing
			w.now = w.now.Add(time.Minute)
			if err := s.SetStatus(t.Context(), c, store.StatusRevoked, "left the company"); err != nil {
				t.Fatal(err)
			}
		}
		at := w.now.Add(-2 * time.Minute)
		r, err := s.Issued(t.Context(), ours.Serial)
		if err != nil || r == nil || !r.At.Equal(at) || r.Why != "left the company" || r.Serial.Cmp(ours.Serial) != 0 {
			t.Errorf("%+v, %v", r, err)
		}
		list, err := s.Revocations(t.Context(), w.now)
		if err != nil || len(list) != 1 || !list[0].NotAfter.Equal(ours.NotAfter) {
			t.Error(list, err)
		}
		if list, err := s.Revocations(t.Context(), ours.NotAfter.Add(time.Second)); err != nil || len(list) != 0 {
			t.Error(list, err)
		}
		if n, err := s.RevocationCount(t.Context()); err != nil || n != 1 {
			t.Error(n, err)
		}
		log, err := s.AuditLog(t.Context(), 0, 10)
		if err != nil || len(log) != 1 || log[0].Kind != store.AuditRevoked || log[0].Fingerprint != ours.Fingerprint() || !log[0].At.Equal(at) {
			t.Error(log, err)
		}
	})
}
