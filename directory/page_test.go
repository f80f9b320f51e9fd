package directory_test

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sealpost/directory"
	"sealpost/directory/claim"
	"sealpost/directory/escrow"
	"sealpost/directory/portal"
	"sealpost/directory/provision"
	"sealpost/directory/store"
)

// A node has its page, and where lookups need a token the page does not search.
func TestPage(t *testing.T) {
	for _, closed := range []bool{false, true} {
		d := open(t, t.TempDir(), func(o *directory.Options) {
			o.Page, o.API.RequireToken = &portal.Options{Name: "Bank of Examples"}, closed
		})
		w := httptest.NewRecorder()
		d.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/?email=nobody@example.org", nil))
		if body := w.Body.String(); w.Code != 200 || !strings.Contains(body, "Bank of Examples") || strings.Contains(body, "No certificate") == closed {
			t.Errorf("closed %v: %d %s", closed, w.Code, body)
		}
		close(t, d)
	}
}

// Mail is read in the browser where the page is, under a policy of its own; a
// program that was built without the module says so, in the log and to people.
func TestReadPage(t *testing.T) {
	var log bytes.Buffer
	d := open(t, t.TempDir(), func(o *directory.Options) {
		o.Page, o.Log = &portal.Options{Name: "Bank of Examples", Colours: portal.Colours{Accent: "#7a1f5c"}}, slog.New(slog.NewTextHandler(&log, nil))
	})
	get := func(path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		d.Handler().ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		return w
	}
	w := get("/read")
	if body := w.Body.String(); !strings.Contains(body, "Bank of Examples") || !strings.Contains(body, "#7a1f5c") || !strings.Contains(w.Header().Get("Content-Security-Policy"), "worker-src 'self'") {
		t.Errorf("%d %v %s", w.Code, w.Header(), body)
	}
	if frame := get("/read/frame"); frame.Code != 200 || !strings.HasPrefix(frame.Header().Get("Content-Security-Policy"), "sandbox ") {
		t.Errorf("the frame: %d %v", frame.Code, frame.Header())
	}
	close(t, d)
	if built := w.Code == 200; w.Code != 200 && w.Code != 503 || strings.Contains(log.String(), "go generate ./directory/reader") == built {
		t.Errorf("%d, and the log says %s", w.Code, log.String())
	}
}

// Keys are claimed at the page, by the engine that the room has made, and not
// without one.
func TestClaimPage(t *testing.T) {
	master := filepath.Join(t.TempDir(), "escrow.key")
	if _, err := escrow.CreateFile(master, time.Now()); err != nil {
		t.Fatal(err)
	}
	keeper, err := escrow.OpenFile(master, nil)
	if err != nil {
		t.Fatal(err)
	}
	claims := &claim.Options{Keeper: keeper, URL: "https://keys.bank.example", Key: make([]byte, claim.KeySize), CheckSecret: provision.CheckSecret}
	page := &portal.Options{URL: "https://keys.bank.example"}
	d := open(t, t.TempDir(), func(o *directory.Options) { o.Claim, o.Page = claims, page })
	defer close(t, d)
	ask := func(method, target, body string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(method, "https://keys.bank.example"+target, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		d.Handler().ServeHTTP(w, r)
		return w
	}
	if w := ask("GET", "/claim", ""); w.Code != 200 || !strings.Contains(w.Body.String(), "Code from the notice") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := ask("POST", "/claim/end", ""); w.Code != 401 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := ask("GET", "/claim/again", ""); w.Code != 200 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	for _, without := range []*portal.Options{nil, {}} {
		_, err := directory.Open(t.Context(), directory.Options{
			Store: store.Options{URL: "sqlite:" + filepath.Join(t.TempDir(), "keys.db")}, Claim: claims, Page: without})
		if !errors.Is(err, directory.ErrClaimPage) && !errors.Is(err, portal.ErrURL) {
			t.Errorf("with the page %v: %v", without, err)
		}
	}
}
