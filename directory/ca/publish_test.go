package ca_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"sealpost/directory/ca"
	"sealpost/directory/store"
)

func do(t testing.TB, h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func get(t testing.TB, h http.Handler, path string) *httptest.ResponseRecorder {
	t.Helper()
	return do(t, h, httptest.NewRequest("GET", path, nil))
}

func list(t testing.TB, w *world, h http.Handler) *x509.RevocationList {
	t.Helper()
	a := get(t, h, ca.PathCRL)
	if a.Code != 200 || a.Header().Get("Content-Type") != "application/pkix-crl" {
		t.Fatal(a.Code, a.Header())
	}
	l, err := x509.ParseRevocationList(a.Body.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if err := l.CheckSignatureFrom(w.Chain()[0]); err != nil {
		t.Error(err)
	}
	return l
}

func TestPublished(t *testing.T) {
	w := newWorld(t, "p-256")
	h := w.Handler(w.source)
	for path, want := range map[string][]byte{ca.PathIssuer: w.Chain()[0].Raw, ca.PathRoot: w.Chain()[1].Raw} {
		a := get(t, h, path)
		if a.Code != 200 || !bytes.Equal(a.Body.Bytes(), want) || a.Header().Get("Content-Type") != "application/pkix-cert" {
			t.Errorf("%s: %d %v", path, a.Code, a.Header())
		}
		again := httptest.NewRequest("GET", path, nil)
		again.Header.Set("If-None-Match", a.Header().Get("ETag"))
		if a := do(t, h, again); a.Code != http.StatusNotModified {
			t.Errorf("%s again: %d", path, a.Code)
		}
	}
	for _, c := range []struct {
		method, path string
		want         int
	}{
		{"GET", "/ca/", 404}, {"GET", "/ca/issuer.key", 404}, {"GET", "/ca/../ca/crl", 404}, {"POST", ca.PathCRL, 405}, {"DELETE", ca.PathRoot, 405},
		{"GET", ca.PathOCSP, 405}, {"PUT", ca.PathOCSP, 405}, {"HEAD", ca.PathCRL, 200},
	} {
		if a := do(t, h, httptest.NewRequest(c.method, c.path, nil)); a.Code != c.want {
			t.Errorf("%s %s: %d", c.method, c.path, a.Code)
		}
	}
}

func TestList(t *testing.T) {
	w := newWorld(t, "p-256")
	h := w.Handler(w.source)
	first := list(t, w, h)
	if len(first.RevokedCertificateEntries) != 0 || !first.NextUpdate.Equal(w.now.UTC().Add(7*24*time.Hour)) {
		t.Errorf("%+v", first)
	}
	anna, _ := w.issue(t, "anna@example.org", "p-256")
	bert, _ := w.issue(t, "bert@example.org", "p-256")
	w.now = w.now.Add(time.Minute)
	w.revoke(anna, "key-compromise: the laptop was stolen")
	w.revoke(bert, "left")
	second := list(t, w, h)
	e := second.RevokedCertificateEntries
	if len(e) != 2 || e[0].SerialNumber.Cmp(anna.SerialNumber) != 0 || e[0].ReasonCode != 1 || e[1].ReasonCode != 0 || !e[0].RevocationTime.Equal(w.now) {
		t.Errorf("%+v", e)
	}
	if second.Number.Cmp(first.Number) <= 0 {
		t.Error("the number of the list did not grow")
	}
	// The same one, until it is a day old.
	asked := w.source.asked
	w.now = w.now.Add(23 * time.Hour)
	if third := list(t, w, h); third.Number.Cmp(second.Number) != 0 || w.source.asked != asked {
		t.Error("made anew without a reason")
	}
	w.now = w.now.Add(2 * time.Hour)
	if third := list(t, w, h); third.Number.Cmp(second.Number) <= 0 {
		t.Error("not made anew")
	}
	// Expired certificates leave it, some time after.
	w.now = anna.NotAfter.Add(20 * 24 * time.Hour)
	if l := list(t, w, h); len(l.RevokedCertificateEntries) != 2 {
		t.Error("they left too soon")
	}
	w.now = anna.NotAfter.Add(40 * 24 * time.Hour)
	if l := list(t, w, h); len(l.RevokedCertificateEntries) != 0 {
		t.Error("they never leave")
	}
}

// While the database is away the last list is given, as long as it is good.
func TestListWithoutDatabase(t *testing.T) {
	w := newWorld(t, "p-256")
	h := w.Handler(w.source)
	w.source.away = errors.New("the database is away")
	if a := get(t, h, ca.PathCRL); a.Code != 503 || a.Header().Get("Retry-After") == "" {
		t.Error(a.Code)
	}
	w.source.away = nil
	good := list(t, w, h)
	w.source.away = errors.New("the database is away")
	w.now = w.now.Add(6 * 24 * time.Hour)
	if l := list(t, w, h); l.Number.Cmp(good.Number) != 0 {
		t.Error("another list")
	}
	w.now = w.now.Add(2 * 24 * time.Hour)
	if a := get(t, h, ca.PathCRL); a.Code != 503 {
		t.Errorf("a list past its time: %d", a.Code)
	}
}

// ask asks both ways that RFC 6960 has.
func ask(t testing.TB, w *world, h http.Handler, c *x509.Certificate, hash crypto.Hash) []byte {
	t.Helper()
	q, err := ocsp.CreateRequest(c, w.Chain()[0], &ocsp.RequestOptions{Hash: hash})
	if err != nil {
		t.Fatal(err)
	}
	post := do(t, h, httptest.NewRequest("POST", ca.PathOCSP, bytes.NewReader(q)))
	text := base64.StdEncoding.EncodeToString(q)
	for _, path := range []string{url.PathEscape(text), text, strings.ReplaceAll(url.QueryEscape(text), "+", "%2B")} {
		a := get(t, h, ca.PathOCSP+"/"+path)
		if a.Code != 200 || !bytes.Equal(a.Body.Bytes(), post.Body.Bytes()) {
			t.Errorf("GET %s: %d, not as POST", path, a.Code)
		}
	}
	if post.Header().Get("Content-Type") != "application/ocsp-response" {
		t.Error(post.Header())
	}
	return post.Body.Bytes()
}

func TestOCSP(t *testing.T) {
	for _, kind := range []string{"rsa-2048", "p-256"} {
		w := newWorld(t, kind)
		h := w.Handler(w.source)
		c, _ := w.issue(t, "anna@example.org", "p-256")
		for _, hash := range []crypto.Hash{crypto.SHA1, crypto.SHA256} {
			a, err := ocsp.ParseResponseForCert(ask(t, w, h, c, hash), c, w.Chain()[0])
			if err != nil || a.Status != ocsp.Good || !a.NextUpdate.Equal(w.now.UTC().Add(24*time.Hour)) || a.IssuerHash != hash {
				t.Fatalf("%+v, %v", a, err)
			}
		}
		w.now = w.now.Add(time.Minute)
		w.revoke(c, "superseded")
		a, err := ocsp.ParseResponseForCert(ask(t, w, h, c, crypto.SHA1), c, w.Chain()[0])
		if err != nil || a.Status != ocsp.Revoked || a.RevocationReason != ocsp.Superseded || !a.RevokedAt.Equal(w.now) {
			t.Fatalf("%+v, %v", a, err)
		}
		w.now = w.now.Add(13 * time.Hour)
		if later, err := ocsp.ParseResponse(ask(t, w, h, c, crypto.SHA1), w.Chain()[0]); err != nil || !later.ThisUpdate.Equal(w.now.UTC()) {
			t.Errorf("not signed anew: %+v, %v", later, err)
		}
	}
}

func TestOCSPRefuses(t *testing.T) {
	w, other := newWorld(t, "p-256"), newWorld(t, "rsa-2048")
	h := w.Handler(w.source)
	stranger, _ := w.issue(t, "anna@example.org", "p-256")
	delete(w.source.issued, stranger.SerialNumber.String())
	if a := ask(t, w, h, stranger, crypto.SHA1); !bytes.Equal(a, ocsp.UnauthorizedErrorResponse) {
		t.Errorf("a number that nobody gave: %x", a)
	}
	q, err := ocsp.CreateRequest(stranger, other.Chain()[0], nil)
	if err != nil {
		t.Fatal(err)
	}
	if a := do(t, h, httptest.NewRequest("POST", ca.PathOCSP, bytes.NewReader(q))); !bytes.Equal(a.Body.Bytes(), ocsp.UnauthorizedErrorResponse) {
		t.Errorf("another authority's: %x", a.Body.Bytes())
	}
	for _, body := range [][]byte{nil, []byte("nonsense"), make([]byte, 20<<10)} {
		if a := do(t, h, httptest.NewRequest("POST", ca.PathOCSP, bytes.NewReader(body))); !bytes.Equal(a.Body.Bytes(), ocsp.MalformedRequestErrorResponse) {
			t.Errorf("%d bytes of nonsense: %x", len(body), a.Body.Bytes())
		}
	}
	if a := get(t, h, ca.PathOCSP+"/%ff%zz"[:4]); !bytes.Equal(a.Body.Bytes(), ocsp.MalformedRequestErrorResponse) {
		t.Errorf("GET: %x", a.Body.Bytes())
	}
	w.source.away = errors.New("the database is away")
	if a := ask(t, w, h, stranger, crypto.SHA1); !bytes.Equal(a, ocsp.TryLaterErrorResponse) {
		t.Errorf("without the database: %x", a)
	}
}

// slow is a source that answers when it is let.
type slow struct {
	*source
	asked, answer chan struct{}
}

func (s slow) Issued(ctx context.Context, n *big.Int) (*store.Revocation, error) {
	s.asked <- struct{}{}
	<-s.answer
	return s.source.Issued(ctx, n)
}

// While too many wait for the database, others are told to come again; and then
// all is as before.
func TestOCSPCrowd(t *testing.T) {
	w := newWorld(t, "p-256")
	s := slow{w.source, make(chan struct{}), make(chan struct{})}
	h := w.Handler(s)
	c, _ := w.issue(t, "anna@example.org", "p-256")
	q, err := ocsp.CreateRequest(c, w.Chain()[0], nil)
	if err != nil {
		t.Fatal(err)
	}
	post := func() []byte {
		return do(t, h, httptest.NewRequest("POST", ca.PathOCSP, bytes.NewReader(q))).Body.Bytes()
	}
	var all sync.WaitGroup
	good := func() {
		if _, err := ocsp.ParseResponse(post(), w.Chain()[0]); err != nil {
			t.Error(err)
		}
	}
	const crowd = 32
	for range crowd {
		all.Go(good)
		<-s.asked
	}
	if a := post(); !bytes.Equal(a, ocsp.TryLaterErrorResponse) {
		t.Errorf("one more: %x", a)
	}
	close(s.answer)
	all.Wait()
	all.Go(good)
	<-s.asked
	all.Wait()
}

// Whatever is asked, the answer is one that clients can read, and what is good
// is about the number that was asked for.
func FuzzOCSP(f *testing.F) {
	w := newWorld(f, "p-256")
	h := w.Handler(w.source)
	c, _ := w.issue(f, "anna@example.org", "p-256")
	q, err := ocsp.CreateRequest(c, w.Chain()[0], nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(q)
	f.Add(q[:20])
	f.Fuzz(func(t *testing.T, q []byte) {
		a := do(t, h, httptest.NewRequest("POST", ca.PathOCSP, bytes.NewReader(q))).Body.Bytes()
		answer, err := ocsp.ParseResponse(a, w.Chain()[0])
		var refused ocsp.ResponseError
		if err != nil && !errors.As(err, &refused) {
			t.Errorf("%x: %v", a, err)
		}
		if err == nil && (answer.Status != ocsp.Good || answer.SerialNumber.Cmp(c.SerialNumber) != 0) {
			t.Errorf("%+v", answer)
		}
	})
}
