package lookup_test

import (
	"context"
	"encoding/asn1"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"sealpost/internal/address"
	"sealpost/internal/testkit"
	"sealpost/lookup"
	"sealpost/lookup/keydb"
	"sealpost/lookup/mirror"
)

// The mirror answers while it may be believed, and only then: complete, and
// heard of within its time. Otherwise the directory is asked; when that is away
// too, nothing is known, and never "none".
func TestDirectoryAndItsMirror(t *testing.T) {
	ca := testkit.NewCA(t)
	cert := keydb.Certificate{DER: ca.For(t, "anna@example.org").Cert.Raw}
	var asked atomic.Int32
	var away atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if away.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", keydb.TypeJSON)
		_ = json.NewEncoder(w).Encode(keydb.Answer{Address: r.FormValue("email"), Certificates: []keydb.Certificate{cert}})
	}))
	defer server.Close()
	now := time.Now()
	clock := func() time.Time { return now }
	m, err := mirror.Open(mirror.Options{File: filepath.Join(t.TempDir(), "mirror"), Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	d, err := lookup.NewDirectory(lookup.DirectoryOptions{
		Options: keydb.Options{URL: server.URL, AllowHTTP: true, Timeout: testkit.Patience}, Mirror: m, Stale: time.Hour, Clock: clock,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	look := func(what, who string, want lookup.Outcome, live bool) {
		t.Helper()
		before := asked.Load()
		a := d.Lookup(t.Context(), parse(t, who))
		if a.Outcome != want || (asked.Load() > before) != live {
			t.Errorf("%s: %v (%v), asked the directory: %v", what, a.Outcome, a.Err, asked.Load() > before)
		}
	}
	look("an empty mirror", "anna@example.org", lookup.Found, true)
	away.Store(true)
	look("an empty mirror, the directory away", "nobody@example.org", lookup.Unavailable, true)
	page := keydb.Page{
		Changes: []keydb.Change{{Seq: 1, Address: "anna@example.org", Certificates: []keydb.Certificate{cert}}},
		Next:    keydb.Cursor{Epoch: "e", Seq: 1}.String(), Complete: true, Sequence: 1,
	}
	if err := m.Apply(page); err != nil {
		t.Fatal(err)
	}
	look("in the mirror", "anna@example.org", lookup.Found, false)
	look("not in the mirror", "nobody@example.org", lookup.None, false)
	now = now.Add(time.Hour + 2*time.Second)
	look("a stale mirror, the directory away", "nobody@example.org", lookup.Unavailable, true)
	away.Store(false)
	look("a stale mirror", "anna@example.org", lookup.Found, true)
}

// A directory in this process: found, none, trouble, and what is no certificate.
func TestDirectoryInProcess(t *testing.T) {
	ca := testkit.NewCA(t)
	cert := keydb.Certificate{DER: ca.For(t, "anna@example.org").Cert.Raw}
	cert.Capabilities = []string{"2.16.840.1.101.3.4.1.46"}
	d, err := lookup.NewDirectory(lookup.DirectoryOptions{MaxCertificates: 2, Find: func(_ context.Context, a address.Address) ([]keydb.Certificate, error) {
		return map[string][]keydb.Certificate{
			"anna": {cert}, "many": {cert, cert, cert}, "garbage": {{DER: []byte("x")}}, "half": {{DER: []byte("x")}, cert},
		}[a.Local()], map[string]error{"trouble": errors.New("the disk is gone")}[a.Local()]
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for who, want := range map[string]lookup.Outcome{
		"anna": lookup.Found, "half": lookup.Found, "nobody": lookup.None,
		"trouble": lookup.Unavailable, "many": lookup.Unavailable, "garbage": lookup.Unavailable,
	} {
		if a := d.Lookup(t.Context(), parse(t, who+"@example.org")); a.Outcome != want {
			t.Errorf("%s: %v, %v", who, a.Outcome, a.Err)
		}
	}
	a := trusted(t, d, lookup.TrustOptions{Vouch: lookup.Itself}).Lookup(t.Context(), parse(t, "anna@example.org"))
	gcm, cbc := asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 46}, asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 42}
	if len(a.Candidates) != 1 || !a.Capable(a.Candidates[0].Cert, gcm) || a.Capable(a.Candidates[0].Cert, cbc) {
		t.Errorf("what was learned is lost: %+v", a)
	}
}
