package directory_test

import (
	"bytes"
	"encoding/hex"
	"log/slog"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sealpost/directory"
	"sealpost/directory/ca"
	"sealpost/directory/store"
	"sealpost/internal/testkit"
)

// A notebook is a log that is read while it is written.
type notebook struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (n *notebook) Write(p []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.text.Write(p)
}

func (n *notebook) has(parts ...string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, p := range parts {
		if !strings.Contains(n.text.String(), p) {
			return false
		}
	}
	return true
}

// The authority is published beside the API; the log is told where the audit log
// ends, and that the issuing certificate will.
func TestAuthorityInTheDirectory(t *testing.T) {
	dir := t.TempDir()
	made, err := ca.Make(ca.MakeOptions{Name: "Bank", Organization: "Bank", Country: "DE", Key: "p-256"})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	authority, err := ca.Open(ca.Options{Certificate: made.Certificate, Key: made.Key, Clock: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	other, err := store.Open(t.Context(), store.Options{URL: "sqlite:" + filepath.Join(dir, "keys.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := other.Record(t.Context(), store.Audit{Kind: store.AuditIssued}); err != nil {
		t.Fatal(err)
	}
	head, err := other.AuditHead(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	log := new(notebook)
	now = authority.Chain()[0].NotAfter.AddDate(0, 0, -30)
	d := open(t, dir, func(o *directory.Options) {
		o.Authority, o.Log, o.Clock = authority, slog.New(slog.NewTextHandler(log, nil)), func() time.Time { return now }
	})
	defer close(t, d)
	testkit.Poll(t, "the audit head and the reminder", func() bool {
		return log.has("audit head", hex.EncodeToString(head.Head[:]), "renew-issuer", "days=30")
	})
	for path, want := range map[string]int{ca.PathCRL: 200, ca.PathRoot: 200, "/ca/other": 404, "/openapi.yaml": 200, "/v1/nothing": 404} {
		w := httptest.NewRecorder()
		d.Handler().ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if w.Code != want {
			t.Errorf("%s: %d", path, w.Code)
		}
		w = httptest.NewRecorder()
		d.PublishCA().ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if strings.HasPrefix(path, ca.Prefix) != (w.Code == want) && want == 200 {
			t.Errorf("%s at the authority's door: %d", path, w.Code)
		}
	}
	plain := open(t, t.TempDir(), nil)
	defer close(t, plain)
	w := httptest.NewRecorder()
	plain.Handler().ServeHTTP(w, httptest.NewRequest("GET", ca.PathCRL, nil))
	if w.Code != 404 || plain.PublishCA() != nil {
		t.Errorf("without an authority: %d", w.Code)
	}
}
